/** Tiles of the quantizers. Pure. */

import { floatByteLength } from '../kernels/float-types.ts';
import type { FileRange } from '../model/tensor-data.ts';
import { blockFormat, channelBytes, totalBytes, zeroPointUnit } from './channel-bytes.ts';
import { drainStrips, panelParts } from './panel-parts.ts';
import { cutPanels, readableChannels, stripsOf } from './panels.ts';
import { type OutputPlace, type QuantizeJob, RING } from './program.ts';
import type { ProgramLayout } from './program-layout.ts';
import { rowTiles } from './row-tiles.ts';
import { seriesOf, type TileSeries } from './tile-series.ts';

/** Where the three results of a quantizer go; `zeroPoints` exactly when it is asymmetric. */
export interface QuantizePlaces {
  readonly codes: OutputPlace;
  readonly scales: OutputPlace;
  readonly zeroPoints?: OutputPlace;
}

/** Places in the order of a tile's outputs; none when nothing is written. */
function placeList(places: QuantizePlaces | undefined): OutputPlace[] {
  if (places === undefined) return [];
  const { codes, scales, zeroPoints } = places;
  return zeroPoints ? [codes, scales, zeroPoints] : [codes, scales];
}

function describe(job: QuantizeJob): string {
  const { n, k, layout } = job.parameters;
  return `quantizing a weight of ${n} channels of ${k} elements (${layout})`;
}

/**
 * A weight stored [N, K]: whole channels, or parts of one that end where a byte of zero points does.
 */
export function layQuantizeRows(
  layout: ProgramLayout,
  index: number,
  job: QuantizeJob,
  source: FileRange,
  places: QuantizePlaces | undefined,
): void {
  const { n, k, type } = job.parameters;
  const size = floatByteLength(type);
  const format = blockFormat(job);
  const whole = channelBytes(format, k);
  const wholeParts = [whole.codes, whole.scales, whole.zeroPoints];
  const bytes = (elements: number) => elements * size + totalBytes(channelBytes(format, elements));
  const work = { n, k, unit: zeroPointUnit(job.parameters), bytes };
  layout.pushAll(rowTiles(work, layout.budget, describe(job)), (extent) => {
    const { firstChannel, channels, firstElement, elements } = extent;
    const before = channelBytes(format, firstElement);
    const beforeParts = [before.codes, before.scales, before.zeroPoints];
    return {
      job: index,
      ...extent,
      inputs: [
        layout.input(source, (firstChannel * k + firstElement) * size, channels * elements * size),
      ],
      outputs: placeList(places).map((place, part) =>
        layout.output(place, firstChannel * (wholeParts[part] ?? 0) + (beforeParts[part] ?? 0)),
      ),
    };
  });
}

/** A weight stored [K, N]: strips of a panel of columns meet in the ring, which writes the panel when it is complete. */
export function layQuantizeColumns(
  layout: ProgramLayout,
  index: number,
  copyJob: number,
  job: QuantizeJob,
  source: FileRange,
  places: QuantizePlaces | undefined,
): void {
  const { n, k, type } = job.parameters;
  if (n === 0 || k === 0) return;
  const size = floatByteLength(type);
  const format = blockFormat(job);
  const whole = channelBytes(format, k);
  const cut = cutPanels(
    {
      n,
      k,
      elementBytes: size,
      unit: zeroPointUnit(job.parameters),
      panelBytesPerChannel: totalBytes(whole),
      leastChannels: readableChannels(n, k, size),
      extraBytesPerChannel: () => 0,
    },
    layout.budget,
    describe(job),
  );
  const targets = placeList(places);
  const results = job.parameters.symmetric ? 2 : 3;
  const partsOf = (elements: number) => {
    const { codes, scales, zeroPoints } = channelBytes(format, elements);
    return [codes, scales, zeroPoints];
  };
  for (let firstChannel = 0; firstChannel < n; firstChannel += cut.channels) {
    const channels = Math.min(cut.channels, n - firstChannel);
    const parts = panelParts(whole, channels);
    layout.panels.add(parts.byteLength, (start) => {
      const fill = seriesOf(stripsOf(cut, k, firstChannel, channels), (strip) => {
        const before = partsOf(strip.firstElement);
        const share = partsOf(strip.elements);
        const inPanel = strip.firstChannel - firstChannel;
        return {
          job: index,
          ...strip,
          inputs: [layout.strip(source, strip, n, size)],
          outputs: parts.offsets.slice(0, results).map((offset, part) => ({
            file: RING,
            byteOffset:
              start + offset + channels * (before[part] ?? 0) + inPanel * (share[part] ?? 0),
          })),
        };
      });
      const drain = function* (): Generator<TileSeries> {
        for (const [part, place] of targets.entries()) {
          const bytes = (elements: number) => partsOf(elements)[part] ?? 0;
          const panel = { channels, rows: cut.rows, k, bytes };
          const first = start + (parts.offsets[part] ?? 0);
          yield* drainStrips(copyJob, first, panel, (done) =>
            layout.output(place, firstChannel * bytes(k) + done),
          );
        }
      };
      return { fill, drain: drain() };
    });
  }
}
