/**
 * How fast the quantizers of a machine without the addon are, in memory; prints a line like those of kernel-speed.cc.
 *
 *   node kernel-speed.mjs SLICES MILLISECONDS wasm|TypeScript METHOD BITS LAYOUT
 *
 * One case a process: a function that has met other formats is compiled into slower code.
 */

import { join } from 'node:path';
import { root } from '../setup.mjs';

const [slices, milliseconds] = process.argv.slice(2, 4).map(Number);
const [name = 'wasm', method = 'rtn', bits = '4', layout = 'rows'] = process.argv.slice(4);
const { REFERENCE_KERNELS } = await import(join(root, 'dist/stream/quantize-kernels.js'));
const { wasmKernels } = await import(join(root, 'dist/stream/wasm-kernels.js'));
const { encodeFloats } = await import(join(root, 'dist/kernels/float-types.js'));

const K = 2048;
const CHANNELS = 64;
const COUNT = K * CHANNELS;

function normal() {
  return 0.02 * Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}

const weight = encodeFloats(10, Float64Array.from({ length: COUNT }, normal));

/** @param {string} method @param {number} bits @param {'rows' | 'columns'} layout */
function measure(method, bits, layout) {
  const kernels = name === 'wasm' ? wasmKernels(COUNT * 8) : REFERENCE_KERNELS;
  const memory = kernels.allocate(COUNT * 8);
  const [codesAt, scalesAt, zeroPointsAt] = [COUNT * 2, COUNT * 4, COUNT * 6];
  memory.set(weight);
  const tile = {
    parameters: {
      method,
      type: 10,
      bits,
      blockSize: 32,
      symmetric: false,
      layout,
      n: CHANNELS,
      k: K,
    },
    source: memory.subarray(0, COUNT * 2),
    strideBytes: CHANNELS * 2,
    channels: CHANNELS,
    elements: K,
    target: {
      codes: memory.subarray(codesAt, codesAt + (COUNT * bits) / 8),
      codesStride: (K * bits) / 8,
      scales: memory.subarray(scalesAt, scalesAt + COUNT / 16),
      scalesStride: K / 16,
      zeroPoints: memory.subarray(zeroPointsAt, zeroPointsAt + (COUNT / 32) * (bits / 8)),
      zeroPointsStride: ((K / 32) * bits) / 8,
    },
  };
  const quantize = () => kernels.quantize(tile);
  // Long enough for the compiler to settle.
  for (const end = performance.now() + 500; performance.now() < end; ) quantize();
  const rates = Array.from({ length: slices ?? 1 }, () => {
    const start = process.cpuUsage();
    let bytes = 0;
    let elapsed = 0;
    while (elapsed < (milliseconds ?? 1)) {
      quantize();
      bytes += weight.length;
      const { user, system } = process.cpuUsage(start);
      elapsed = (user + system) / 1000;
    }
    return (bytes / elapsed) * 1000;
  });
  process.stdout.write(
    `${name} ${method} ${bits} fp16 ${layout} 32 asymmetric: ${rates.map((rate) => rate.toExponential(3)).join(' ')}\n`,
  );
}

measure(method, Number(bits), layout === 'columns' ? 'columns' : 'rows');
