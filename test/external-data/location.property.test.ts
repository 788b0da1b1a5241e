import { posix } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { LatheError } from '../../src/errors.ts';
import { checkLocation, isBeneath } from '../../src/external-data/location.ts';

const name = fc.constantFrom('..', '.', 'a', 'b', '...', '..a', 'a..b', '');

it('accepts exactly the relative paths that normalise to a file inside', () => {
  fc.assert(
    fc.property(fc.array(name, { minLength: 1, maxLength: 8 }), (names) => {
      const location = names.join('/');
      const last = names.at(-1) ?? '';
      const isInside =
        !location.startsWith('/') &&
        !posix.normalize(location).split('/').includes('..') &&
        !['', '.', '..'].includes(last);
      let isAccepted = true;
      try {
        checkLocation(location, 'w');
      } catch (error) {
        expect(error).toBeInstanceOf(LatheError);
        isAccepted = false;
      }
      expect(isAccepted).toBe(isInside);
      if (isAccepted) expect(isBeneath('/model', posix.join('/model', location))).toBe(true);
    }),
    { numRuns: 1000 },
  );
});
