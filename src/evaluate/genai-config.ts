/** The little this room needs from an exporter's `genai_config.json`. */

import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MIB } from '../bytes.ts';
import { FormatError, fromSystemError, hasErrno } from '../errors.ts';
import type { DecoderGeometry } from './state-feeds.ts';

const FILE_NAME = 'genai_config.json';

/** Real files have a few kilobytes. */
const MAX_BYTES = MIB;

/**
 * Sizes of the attention caches by the `genai_config.json` beside the model; empty when there is none or it does not
 * name them.
 * @throws FormatError when the file is larger than 1 MiB or is not JSON
 */
export async function readDecoderGeometry(modelPath: string): Promise<DecoderGeometry> {
  const path = join(dirname(modelPath), FILE_NAME);
  const text = await readSmallFile(path);
  if (text === undefined) return {};
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch (cause) {
    throw new FormatError('ERR_MODEL', `${path}: not JSON`, { cause });
  }
  const decoder = member(member(config, 'model'), 'decoder');
  return {
    headSize: positiveInteger(member(decoder, 'head_size')),
    keyValueHeads: positiveInteger(member(decoder, 'num_key_value_heads')),
  };
}

async function readSmallFile(path: string): Promise<string | undefined> {
  try {
    await using file = await open(path);
    const { size } = await file.stat();
    if (size > MAX_BYTES) {
      throw new FormatError('ERR_LIMIT', `${path}: ${size} bytes, at most ${MAX_BYTES} are read`);
    }
    return await file.readFile('utf8');
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return undefined;
    throw fromSystemError(error, `reading ${path}`);
  }
}

function member(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key)
    ? Reflect.get(value, key)
    : undefined;
}

function positiveInteger(value: unknown): number | undefined {
  return Number.isSafeInteger(value) && (value as number) > 0 ? (value as number) : undefined;
}
