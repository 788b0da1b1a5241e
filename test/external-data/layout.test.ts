import { describe, expect, it } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import {
  alignmentOf,
  checkLayout,
  expandDataName,
  type Layout,
  layOut,
  seriesName,
} from '../../src/external-data/layout.ts';

describe('checkLayout', () => {
  it.each<Layout>([
    {},
    { embed: true },
    { embed: false, dataName: 'weights.bin', maxFileSize: 1, align: 1, inlineBelow: 0 },
    { dataName: '{model}.onnx_data', align: 2 ** 30 },
    { dataName: '{model}-{model}' },
    { dataName: 'Gewichte für alle.daten' },
    { dataFormat: 'raw', dataName: 'w.bin' },
    { dataFormat: 'safetensors', dataName: '{model}.safetensors' },
    { dataName: '{model}.SafeTensors' },
  ])('accepts %j', (layout) => {
    expect(() => checkLayout(layout)).not.toThrow();
  });

  it.each<[Layout, string]>([
    [{ embed: true, dataName: 'x' }, 'embed and data name exclude each other'],
    [{ embed: true, inlineBelow: 0 }, 'embed and inline below exclude each other'],
    [{ embed: true, dataFormat: 'raw' }, 'embed and data format exclude each other'],
    [
      { dataFormat: 'raw', dataName: 'w.safetensors' },
      'data name "w.safetensors" does not fit the data format raw',
    ],
    [
      { dataFormat: 'safetensors', dataName: 'w.bin' },
      'data name "w.bin" does not fit the data format safetensors',
    ],
    [{ dataFormat: 'gguf' as 'raw' }, 'data format is "gguf"'],
    [
      { dataName: `${'x'.repeat(230)}.safetensors` },
      `data name "${'x'.repeat(230)}.safetensors" is longer than 240 bytes`,
    ],
    [{ align: 0 }, 'align is 0'],
    [{ align: 3 }, 'align is 3'],
    [{ align: 0.5 }, 'align is 0.5'],
    [{ align: -4 }, 'align is -4'],
    [{ align: 2 ** 31 }, 'align is 2147483648'],
    [{ align: Number.NaN }, 'align is NaN'],
    [{ maxFileSize: 0 }, 'max file size is 0'],
    [{ maxFileSize: 1.5 }, 'max file size is 1.5'],
    [{ inlineBelow: -1 }, 'inline below is -1'],
    [{ dataName: '' }, 'data name "" is empty'],
    [{ dataName: 'a/b' }, 'data name "a/b" is a path'],
    [{ dataName: 'a\\b' }, 'data name "a\\\\b" is a path'],
    [{ dataName: 'a\nb' }, 'data name "a\\nb" has control characters'],
    [{ dataName: '.data' }, 'data name ".data" starts with a dot'],
    [{ dataName: 'a..b' }, 'data name "a..b" has two dots in a row'],
    [{ dataName: 'weights.onnx' }, 'data name "weights.onnx" ends in .onnx, as only models do'],
    [
      { dataName: '{stem}.data' },
      'data name "{stem}.data" has a place for something else than {model}',
    ],
    [{ dataName: 'x'.repeat(253) }, `data name "${'x'.repeat(253)}" is longer than 252 bytes`],
  ])('refuses %j', (layout, message) => {
    expect(() => checkLayout(layout)).toThrow(expect.objectContaining({ message }));
    expect(() => checkLayout(layout)).toThrow(UsageError);
  });
});

it('names data files after the model, numbered as transformers.js counts', () => {
  const name = expandDataName('{model}.onnx_data', 'model_q4.onnx');
  expect([0, 1, 2].map((index) => seriesName(name, index, 3))).toEqual([
    'model_q4.onnx_data',
    'model_q4.onnx_data_1',
    'model_q4.onnx_data_2',
  ]);
  expect(() => expandDataName('{model}', `${'x'.repeat(253)}.onnx`)).toThrow(UsageError);
});

it('numbers safetensors as Hugging Face does, all of them or none', () => {
  const names = (count: number) =>
    Array.from({ length: count }, (_, index) => seriesName('a.b.safetensors', index, count));
  expect(names(1)).toEqual(['a.b.safetensors']);
  expect(names(2)).toEqual(['a.b-00001-of-00002.safetensors', 'a.b-00002-of-00002.safetensors']);
});

it('aligns to pages from 1 MiB and to cache lines below, or to what is asked for', () => {
  expect([1, 2 ** 20 - 1, 2 ** 20].map((bytes) => alignmentOf(bytes, {}))).toEqual([64, 64, 4096]);
  expect([1, 2 ** 20].map((bytes) => alignmentOf(bytes, { align: 256 }))).toEqual([256, 256]);
});

it('gives a run that is too long a file of its own', () => {
  expect(layOut([10, 100, 10, 10], { maxFileSize: 80, align: 1 })).toEqual({
    files: Int32Array.of(0, 1, 2, 2),
    byteOffsets: Float64Array.of(0, 0, 0, 10),
    byteLengths: [10, 100, 20],
  });
});
