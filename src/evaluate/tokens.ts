/** Token files: a JSON array of token ids. */

import { readFile } from 'node:fs/promises';
import { FormatError, fromSystemError, hasErrno, UsageError } from '../errors.ts';

/**
 * Reads a JSON array of token ids.
 * @throws UsageError when there is no such file; FormatError when it is not an array of integers from 0 to 2^31-1
 */
export async function readTokens(path: string): Promise<Int32Array> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (!hasErrno(error, 'ENOENT', 'ENOTDIR')) throw fromSystemError(error, `reading ${path}`);
    throw new UsageError('ERR_NOT_FOUND', `${path}: no such file`, { cause: error });
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new FormatError('ERR_TENSOR', `${path}: not JSON`, { hint: TOKEN_FILE, cause });
  }
  if (!Array.isArray(parsed)) {
    throw new FormatError('ERR_TENSOR', `${path}: JSON, but not an array`, { hint: TOKEN_FILE });
  }
  return checkedTokens(parsed, path);
}

const TOKEN_FILE = 'a token file is a JSON array of token ids, such as [1022, 305, 585]';

/** Largest id plus one: ids must fit the int32 inputs that some exports have. */
const MAX_VOCAB = 2 ** 31;

/**
 * The ids as integers, checked one by one.
 * @param where what an error names as their place
 * @param vocabSize ids are below it; 2^31 when unknown
 * @throws FormatError naming the first value that is not an id
 */
export function checkedTokens(
  values: ArrayLike<unknown>,
  where: string,
  vocabSize = MAX_VOCAB,
): Int32Array {
  const tokens = new Int32Array(values.length);
  for (let index = 0; index < values.length; index++) {
    const value = values[index];
    if (!Number.isInteger(value) || (value as number) < 0 || (value as number) >= vocabSize) {
      throw new FormatError(
        'ERR_TENSOR',
        `${where}: token ${index} is ${JSON.stringify(value)}, not an integer from 0 to ${vocabSize - 1}`,
      );
    }
    tokens[index] = value as number;
  }
  return tokens;
}
