/** Tiles that write packed elements in another layout. Pure. */

import { ceilDiv } from '../bytes.ts';
import {
  packedByteLength,
  type RelayoutParameters,
  relayoutSourceLength,
} from '../kernels/kernel.ts';
import type { FileRange } from '../model/tensor-data.ts';
import { drainStrips, panelParts } from './panel-parts.ts';
import { cutPanels, stripsOf } from './panels.ts';
import { type OutputPlace, RING } from './program.ts';
import type { ProgramLayout } from './program-layout.ts';
import { rowTiles } from './row-tiles.ts';
import { seriesOf } from './tile-series.ts';

type Bits = RelayoutParameters['bits'];

// Rows whose codes of two bits fill eight bytes of a column, and a multiple of it.
const UNIT = 64;

// The rows of a table of 262,144 tokens are columns of 128 KiB: what is read of a source row at a time should be worth
// a call of the system, as far as the budget goes.
const LEAST_SEGMENT = 512;

/** Elements of a column as tiles count them: those of one byte, or one wider element. */
export function columnElements(bits: Bits): number {
  return bits < 8 ? 8 / bits : 1;
}

function describe({ rows, columns, bits }: RelayoutParameters): string {
  return `turning a matrix of ${rows} x ${columns} elements of ${bits} bits`;
}

/** In the order it has: one flat run of bytes. */
export function layRelayoutFlat(
  layout: ProgramLayout,
  index: number,
  parameters: RelayoutParameters,
  source: FileRange,
  place: OutputPlace,
): void {
  const k = relayoutSourceLength(parameters);
  const work = { n: 1, k, unit: UNIT, bytes: (bytes: number) => 2 * bytes };
  layout.pushAll(rowTiles(work, layout.budget, describe(parameters)), (extent) => ({
    job: index,
    ...extent,
    inputs: [layout.input(source, extent.firstElement, extent.elements)],
    outputs: [layout.output(place, extent.firstElement)],
  }));
}

/** Strips of a panel of columns meet in the ring, each in a run of its own; what they make together is written then. */
export function layRelayoutTransposed(
  layout: ProgramLayout,
  index: number,
  copyJob: number,
  parameters: RelayoutParameters,
  source: FileRange,
  place: OutputPlace,
): void {
  const { bits, rows, columns } = parameters;
  if (rows === 0 || columns === 0) return;
  const perColumn = columnElements(bits);
  const elementBytes = Math.max(1, bits / 8);
  const n = ceilDiv(columns, perColumn);
  const row = packedByteLength(bits, rows);
  const cut = cutPanels(
    {
      n,
      k: rows,
      elementBytes,
      unit: UNIT,
      panelBytesPerChannel: perColumn * row,
      leastChannels: LEAST_SEGMENT / elementBytes,
      extraBytesPerChannel: () => 0,
    },
    layout.budget,
    describe(parameters),
  );
  for (let firstChannel = 0; firstChannel < n; firstChannel += cut.channels) {
    const channels = Math.min(cut.channels, n - firstChannel);
    const first = firstChannel * perColumn;
    const count = Math.min(channels * perColumn, columns - first);
    const parts = panelParts({ codes: row, scales: 0, zeroPoints: 0 }, count);
    layout.panels.add(parts.byteLength, (start) => {
      const fill = seriesOf(stripsOf(cut, rows, firstChannel, channels), (strip) => {
        const inPanel = (strip.firstChannel - firstChannel) * perColumn;
        const byteOffset =
          start +
          count * packedByteLength(bits, strip.firstElement) +
          inPanel * packedByteLength(bits, strip.elements);
        return {
          job: index,
          ...strip,
          inputs: [layout.strip(source, strip, n, elementBytes)],
          outputs: [{ file: RING, byteOffset }],
        };
      });
      const bytes = (elements: number) => packedByteLength(bits, elements);
      const panel = { channels: count, rows: cut.rows, k: rows, bytes };
      const drain = drainStrips(copyJob, start, panel, (done) =>
        layout.output(place, first * row + done),
      );
      return { fill, drain };
    });
  }
}
