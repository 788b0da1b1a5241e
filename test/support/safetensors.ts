/** Safetensors files read and written without the code under test. */

import { readFileSync, writeFileSync } from 'node:fs';

/** An entry of a header as JSON has it. */
export interface JsonEntry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** A file taken apart. */
export interface SafetensorsContent {
  readonly metadata: Readonly<Record<string, string>> | undefined;
  readonly entries: ReadonlyMap<string, JsonEntry>;
  readonly dataStart: number;
  readonly data: Buffer;
  /** The bytes of an entry. */
  bytes(name: string): Buffer;
}

/** Takes a file apart; throws for what is no JSON. */
export function parseSafetensors(bytes: Buffer): SafetensorsContent {
  const dataStart = 8 + Number(bytes.readBigUInt64LE());
  const { __metadata__: metadata, ...entries } = JSON.parse(bytes.toString('utf8', 8, dataStart));
  const data = bytes.subarray(dataStart);
  return {
    metadata,
    entries: new Map(Object.entries(entries)) as Map<string, JsonEntry>,
    dataStart,
    data,
    bytes: (name) => data.subarray(...(entries[name] as JsonEntry).data_offsets),
  };
}

export function readSafetensors(path: string): SafetensorsContent {
  return parseSafetensors(readFileSync(path));
}

/** A file with this text for a header, whatever it says. */
export function safetensorsBytes(header: string | Uint8Array, data = Buffer.alloc(0)): Buffer {
  const text = Buffer.from(header as string);
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([prefix, text, data]);
}

/** Writes a file as a plain writer does: entries one after another, nothing aligned but to 8 bytes. */
export function writeSafetensors(
  path: string,
  tensors: Readonly<Record<string, Omit<JsonEntry, 'data_offsets'> & { readonly data: Buffer }>>,
): void {
  let end = 0;
  const entries = Object.entries(tensors).map(([name, { dtype, shape, data }]) => {
    const begin = end;
    end += data.length;
    return [name, { dtype, shape, data_offsets: [begin, end] }];
  });
  const text = JSON.stringify(Object.fromEntries(entries));
  const data = Buffer.concat(Object.values(tensors).map((tensor) => tensor.data));
  writeFileSync(path, safetensorsBytes(text.padEnd(Math.ceil(text.length / 8) * 8), data));
}
