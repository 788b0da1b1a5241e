import fc from 'fast-check';
import { expect, it } from 'vitest';
import { printable, printableJson } from '../../src/cli/printable.ts';

const anyText = fc.string({ unit: 'binary', maxLength: 40 });

it('printable text is one line without control or format characters', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      expect(printable(text)).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    }),
  );
  expect(printable('\u001b]0;x\u0007\u{e0001}é漢\n')).toBe(
    '\\u001b]0;x\\u0007\\udb40\\udc01é漢\\u000a',
  );
});

it('printable JSON holds the same value', () => {
  fc.assert(
    fc.property(fc.dictionary(anyText, anyText), (value) => {
      for (const indent of [undefined, 2]) {
        const json = printableJson(JSON.stringify(value, undefined, indent));
        expect(json).not.toMatch(/[^\P{Cc}\n]|[\p{Cf}\p{Zl}\p{Zp}]/u);
        expect(JSON.parse(json)).toEqual(value);
      }
    }),
  );
});
