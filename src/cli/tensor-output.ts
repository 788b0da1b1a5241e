/** Lists of tensors: the largest ones for people, all of them for programs. */

import { once } from 'node:events';
import { formatSize } from '../bytes.ts';
import type { KindUse, TensorListing } from '../report/tensor-list.ts';
import { SCHEMA_VERSION } from './output.ts';
import { printableJson } from './printable.ts';
import { formatTable, plural } from './table.ts';

/** Characters written at once. */
const CHUNK = 64 * 1024;

/** The `count` largest, largest first; those of equal size in the order of the file. */
function largest(tensors: Iterable<TensorListing>, count: number): TensorListing[] {
  const found: TensorListing[] = [];
  const size = (tensor: TensorListing | undefined) => tensor?.byteLength ?? -1;
  for (const tensor of tensors) {
    if (found.length === count && size(tensor) <= size(found.at(-1))) continue;
    const after = found.findIndex((other) => size(other) < size(tensor));
    found.splice(after < 0 ? found.length : after, 0, tensor);
    if (found.length > count) found.pop();
  }
  return found;
}

function place({ file, byteOffset }: TensorListing): string {
  return file === undefined ? 'in the graph' : `${file} at ${byteOffset}`;
}

/** Sums by kind and type, one line each. */
export function kindTable(uses: readonly KindUse[]): string {
  const rows = uses.map(({ kind, dtype, tensors, byteLength }) => [
    kind,
    dtype,
    plural(tensors, 'tensor'),
    formatSize(byteLength),
  ]);
  return formatTable(rows, ['left', 'left', 'right', 'right']);
}

/** The largest tensors, one line each. */
export function tensorTable(tensors: Iterable<TensorListing>, count: number): string {
  const rows = largest(tensors, count).map((tensor) => [
    tensor.byteLength === undefined ? '?' : formatSize(tensor.byteLength),
    tensor.kind,
    tensor.dtype,
    `[${tensor.dims.join(', ')}]`,
    tensor.name,
    place(tensor),
  ]);
  return formatTable(rows, ['right']);
}

/** Prints `report` as JSON with every tensor in the list `key`, one at a time: a model may have a million. */
export async function printJsonWithTensors(
  report: object,
  key: string,
  tensors: Iterable<object>,
): Promise<void> {
  const head = JSON.stringify({ schemaVersion: SCHEMA_VERSION, ...report }, undefined, 2);
  let text = `${head.slice(0, -2)},\n  ${JSON.stringify(key)}: [`;
  let separator = '\n';
  for (const tensor of tensors) {
    text += `${separator}    ${JSON.stringify(tensor)}`;
    separator = ',\n';
    if (text.length < CHUNK) continue;
    // A pipe whose reader is slow would be kept in memory.
    if (!process.stdout.write(printableJson(text))) await once(process.stdout, 'drain');
    text = '';
  }
  process.stdout.write(printableJson(`${text}\n  ]\n}\n`));
}
