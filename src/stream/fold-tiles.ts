/** Tiles of the kernels that compare tensors and write nothing. Pure. */

import { floatByteLength } from '../kernels/float-types.ts';
import type { FileRange } from '../model/tensor-data.ts';
import { blockFormat, channelBytes, totalBytes, zeroPointUnit } from './channel-bytes.ts';
import { fillPart, type PanelParts, panelParts } from './panel-parts.ts';
import { cutPanels, stripsOf } from './panels.ts';
import { type CompareJob, RING, type TieGateJob, type TileInput } from './program.ts';
import type { ProgramLayout } from './program-layout.ts';
import { rowTiles } from './row-tiles.ts';
import { seriesOf } from './tile-series.ts';

/** What a tie gate reads; `zeroPoints` exactly when the job has them. */
export interface TieGateRanges {
  readonly table: FileRange;
  readonly codes: FileRange;
  readonly scales: FileRange;
  readonly zeroPoints?: FileRange;
}

function encodedRanges({ codes, scales, zeroPoints }: TieGateRanges): FileRange[] {
  return zeroPoints ? [codes, scales, zeroPoints] : [codes, scales];
}

function describeGate(job: TieGateJob): string {
  return `comparing a quantized table of ${job.n} channels of ${job.k} elements (${job.layout})`;
}

/** A float table stored like the codes, [N, K]. */
export function layTieGateRows(
  layout: ProgramLayout,
  index: number,
  job: TieGateJob,
  ranges: TieGateRanges,
): void {
  const { n, k, type } = job;
  const size = floatByteLength(type);
  const format = blockFormat(job);
  const { codes, scales, zeroPoints } = channelBytes(format, k);
  const whole = [codes, scales, zeroPoints];
  const bytes = (elements: number) => elements * size + totalBytes(channelBytes(format, elements));
  const work = { n, k, unit: zeroPointUnit(job), bytes };
  layout.pushAll(rowTiles(work, layout.budget, describeGate(job)), (extent) => {
    const { firstChannel, channels, firstElement, elements } = extent;
    const before = channelBytes(format, firstElement);
    const beforeParts = [before.codes, before.scales, before.zeroPoints];
    const part = channelBytes(format, elements);
    const partBytes = [part.codes, part.scales, part.zeroPoints];
    const table = layout.input(
      ranges.table,
      (firstChannel * k + firstElement) * size,
      channels * elements * size,
    );
    const encoded = encodedRanges(ranges).map((range, i) =>
      layout.input(
        range,
        firstChannel * (whole[i] ?? 0) + (beforeParts[i] ?? 0),
        channels * (partBytes[i] ?? 0),
      ),
    );
    return { job: index, ...extent, inputs: [table, ...encoded], outputs: [] };
  });
}

/** A float table stored [K, N]: the codes of a panel wait in the ring while its columns pass by in strips. */
export function layTieGateColumns(
  layout: ProgramLayout,
  index: number,
  copyJob: number,
  job: TieGateJob,
  ranges: TieGateRanges,
): void {
  const { n, k, type } = job;
  if (n === 0 || k === 0) return;
  const size = floatByteLength(type);
  const format = blockFormat(job);
  const whole = channelBytes(format, k);
  const work = {
    n,
    k,
    elementBytes: size,
    unit: zeroPointUnit(job),
    panelBytesPerChannel: totalBytes(whole),
    extraBytesPerChannel: (rows: number) => totalBytes(channelBytes(format, rows)),
  };
  const cut = cutPanels(work, layout.budget, describeGate(job));
  for (let firstChannel = 0; firstChannel < n; firstChannel += cut.channels) {
    const channels = Math.min(cut.channels, n - firstChannel);
    const parts = panelParts(whole, channels);
    layout.panels.add(parts.byteLength, (start) => {
      const fill = encodedRanges(ranges).flatMap((range, part) =>
        fillPart(
          copyJob,
          start + (parts.offsets[part] ?? 0),
          parts.byteLengths[part] ?? 0,
          (done, length) =>
            layout.input(range, firstChannel * (parts.strides[part] ?? 0) + done, length),
        ),
      );
      const drain = seriesOf(stripsOf(cut, k, firstChannel, channels), (strip) => {
        const before = channelBytes(format, strip.firstElement);
        const beforeParts = [before.codes, before.scales, before.zeroPoints];
        const part = channelBytes(format, strip.elements);
        const partBytes = [part.codes, part.scales, part.zeroPoints];
        const encoded = encodedRanges(ranges).map((_, i) =>
          ringInput(start, parts, i, {
            channel: strip.firstChannel - firstChannel,
            channels: strip.channels,
            byteOffset: beforeParts[i] ?? 0,
            byteLength: partBytes[i] ?? 0,
          }),
        );
        const inputs = [layout.strip(ranges.table, strip, n, size), ...encoded];
        return { job: index, ...strip, inputs, outputs: [] };
      });
      return { fill, drain };
    });
  }
}

/** A part of some channels of a panel that begins at `start` of the ring: `byteLength` bytes of each, `byteOffset` into the channel. */
function ringInput(
  start: number,
  parts: PanelParts,
  part: number,
  piece: { channel: number; channels: number; byteOffset: number; byteLength: number },
): TileInput {
  const strideBytes = parts.strides[part] ?? 0;
  return {
    file: RING,
    byteOffset: start + (parts.offsets[part] ?? 0) + piece.channel * strideBytes + piece.byteOffset,
    segmentByteLength: piece.byteLength,
    segments: piece.channels,
    strideBytes,
  };
}

function describeCompare(job: CompareJob): string {
  return `comparing two tensors of ${job.rows} x ${job.columns} elements`;
}

/** Two tensors in the same order: one flat run of elements. */
export function layCompareFlat(
  layout: ProgramLayout,
  index: number,
  job: CompareJob,
  a: FileRange,
  b: FileRange,
): void {
  const size = job.elementBytes;
  const work = {
    n: 1,
    k: job.rows * job.columns,
    unit: 1,
    bytes: (elements: number) => 2 * elements * size,
  };
  layout.pushAll(rowTiles(work, layout.budget, describeCompare(job)), (extent) => {
    const inputs = [a, b].map((range) =>
      layout.input(range, extent.firstElement * size, extent.elements * size),
    );
    return { job: index, ...extent, inputs, outputs: [] };
  });
}

/** `b` is stored transposed: a panel of its rows waits in the ring while the columns of `a` pass by in strips. */
export function layCompareColumns(
  layout: ProgramLayout,
  index: number,
  copyJob: number,
  job: CompareJob,
  a: FileRange,
  b: FileRange,
): void {
  const { rows: k, columns: n, elementBytes: size } = job;
  if (n === 0 || k === 0) return;
  const channelByteLength = k * size;
  const work = {
    n,
    k,
    elementBytes: size,
    unit: 64,
    panelBytesPerChannel: channelByteLength,
    extraBytesPerChannel: () => 0,
  };
  const cut = cutPanels(work, layout.budget, describeCompare(job));
  for (let firstChannel = 0; firstChannel < n; firstChannel += cut.channels) {
    const channels = Math.min(cut.channels, n - firstChannel);
    const parts = panelParts({ codes: channelByteLength, scales: 0, zeroPoints: 0 }, channels);
    layout.panels.add(parts.byteLength, (start) => {
      const fill = fillPart(copyJob, start, parts.byteLengths[0] ?? 0, (done, length) =>
        layout.input(b, firstChannel * channelByteLength + done, length),
      );
      const drain = seriesOf(stripsOf(cut, k, firstChannel, channels), (strip) => {
        const other = ringInput(start, parts, 0, {
          channel: strip.firstChannel - firstChannel,
          channels: strip.channels,
          byteOffset: strip.firstElement * size,
          byteLength: strip.elements * size,
        });
        return {
          job: index,
          ...strip,
          inputs: [layout.strip(a, strip, n, size), other],
          outputs: [],
        };
      });
      return { fill, drain };
    });
  }
}
