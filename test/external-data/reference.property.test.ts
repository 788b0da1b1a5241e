import fc from 'fast-check';
import { it } from 'vitest';
import {
  formatExternalReference,
  parseExternalReference,
} from '../../src/external-data/reference.ts';

it('reads back what it writes', () => {
  const size = fc.maxSafeNat();
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), size, size, (location, byteOffset, byteLength) => {
      const entries = formatExternalReference({ location, byteOffset, byteLength });
      const reference = parseExternalReference(entries, 'w');
      return (
        reference.location === location &&
        reference.byteOffset === byteOffset &&
        (reference.byteLength ?? 0) === byteLength
      );
    }),
  );
});
