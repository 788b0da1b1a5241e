/**
 * How fast a TypeScript quantizer is, in memory; prints a line like those of kernel-speed.cc.
 *
 *   node kernel-speed.mjs SLICES MILLISECONDS METHOD BITS LAYOUT
 *
 * One case a process: a function that has met other formats is compiled into slower code.
 */

import { join } from 'node:path';
import { root } from '../setup.mjs';

const [slices, milliseconds] = process.argv.slice(2, 4).map(Number);
const [method = 'rtn', bits = '4', layout = 'rows'] = process.argv.slice(4);
const { quantizeColumns, quantizeRows } = await import(join(root, 'dist/kernels/quantize.js'));
const { encodeFloats } = await import(join(root, 'dist/kernels/float-types.js'));

const K = 2048;
const CHANNELS = 16;
const COUNT = K * CHANNELS;

function normal() {
  return 0.02 * Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}

const source = encodeFloats(10, Float64Array.from({ length: COUNT }, normal));

/** @param {string} method @param {number} bits @param {'rows' | 'columns'} layout */
function measure(method, bits, layout) {
  const format = { method, type: 10, bits, blockSize: 32, symmetric: false, k: K };
  const target = {
    codes: new Uint8Array((COUNT * bits) / 8),
    codesStride: (K * bits) / 8,
    scales: new Uint8Array(COUNT / 16),
    scalesStride: K / 16,
    zeroPoints: new Uint8Array((COUNT / 32) * (bits / 8)),
    zeroPointsStride: ((K / 32) * bits) / 8,
  };
  const quantize = () =>
    layout === 'rows'
      ? quantizeRows(format, source, CHANNELS, target)
      : quantizeColumns(format, source, CHANNELS * 2, K, CHANNELS, target);
  // Long enough for the compiler to settle.
  for (const end = performance.now() + 500; performance.now() < end; ) quantize();
  const rates = Array.from({ length: slices ?? 1 }, () => {
    const start = process.cpuUsage();
    let bytes = 0;
    let elapsed = 0;
    while (elapsed < (milliseconds ?? 1)) {
      quantize();
      bytes += source.length;
      const { user, system } = process.cpuUsage(start);
      elapsed = (user + system) / 1000;
    }
    return (bytes / elapsed) * 1000;
  });
  process.stdout.write(
    `TypeScript ${method} ${bits} fp16 ${layout} 32 asymmetric: ${rates.map((rate) => rate.toExponential(3)).join(' ')}\n`,
  );
}

measure(method, Number(bits), layout === 'columns' ? 'columns' : 'rows');
