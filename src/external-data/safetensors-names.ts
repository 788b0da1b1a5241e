/** What tensors are called in safetensors files, where each name is there once. Pure. */

import { secretBytes } from '../proto/secret-bytes.ts';
import { type PayloadList, payloadAt } from './runs.ts';
import { METADATA_NAME } from './safetensors.ts';
import { nameHash } from './safetensors-header.ts';

/** Half of a surrogate pair is no text for other readers. */
function plain(name: string): string {
  return name.replace(/\p{Surrogate}/gu, '\ufffd');
}

/** Names of entries. Memory: 16 bytes a tensor to begin with, then none, unless tensors have the same name. */
export class EntryNames {
  readonly #payloads: PayloadList;
  /** Names other than the tensors' own. */
  readonly #others: ReadonlyMap<number, string>;

  constructor(payloads: PayloadList) {
    this.#payloads = payloads;
    this.#others = this.#mayRepeat() ? this.#numbered() : new Map();
  }

  *#names(): Generator<string> {
    const { length } = this.#payloads;
    for (let index = 0; index < length; index++)
      yield plain(payloadAt(this.#payloads, index).tensor);
  }

  /** False when all names differ. */
  #mayRepeat(): boolean {
    const seed = secretBytes(4).readInt32LE();
    const hashes = new Float64Array(this.#payloads.length + 1);
    let count = 0;
    hashes[count++] = nameHash(METADATA_NAME, seed);
    for (const name of this.#names()) hashes[count++] = nameHash(name, seed);
    hashes.sort();
    return hashes.some((hash, index) => hash === hashes[index - 1]);
  }

  /** Of tensors that have the same name, all but the first get a number. */
  #numbered(): Map<number, string> {
    const wanted = new Set(this.#names());
    const taken = new Set([METADATA_NAME]);
    const others = new Map<number, string>();
    let index = 0;
    for (const name of this.#names()) {
      let unique = name;
      for (let count = 2; taken.has(unique); count++) {
        unique = `${name}.${count}`;
        if (wanted.has(unique)) taken.add(unique);
      }
      taken.add(unique);
      if (unique !== name) others.set(index, unique);
      index++;
    }
    return others;
  }

  /** The name for tensor `index`, which is called `tensor`. */
  of(index: number, tensor: string): string {
    return this.#others.get(index) ?? plain(tensor);
  }

  /** What names of fillers begin with, and none of tensors: a number behind a name changes nothing about that. */
  fillerPrefix(): string {
    const isUsed = (prefix: string) => {
      for (const name of this.#names()) if (name.startsWith(prefix)) return true;
      return false;
    };
    let prefix = '__padding_';
    while (isUsed(prefix)) prefix += '_';
    return prefix;
  }
}
