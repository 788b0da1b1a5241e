import { expect, it } from 'vitest';
import { Names } from '../../src/model/names.ts';

it('gives every name once', () => {
  const names = new Names(() => ['w', 'w_1']);
  expect(names.claim('w')).toBe('w_2');
  expect(names.claim('w')).toBe('w_3');
  expect(names.claim('v')).toBe('v');
  expect(names.has('v')).toBe(true);
});

it('leaves the empty name alone: it means "omitted"', () => {
  const names = new Names(() => ['']);
  expect(names.has('')).toBe(false);
});
