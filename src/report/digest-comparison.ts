/** The digests of a model against those of a manifest. Pure. */

import type { UnreadableEntry } from './digest-entries.ts';
import type { Findings } from './findings.ts';
import type { ManifestEntry } from './manifest.ts';

/** Compares the entries of a model with those of a manifest, in whatever order each has them. */
export class Comparison {
  readonly #findings: Findings;
  /** Entries of one side that the other has not had yet; few, unless the order differs. */
  readonly #inManifest = new Map<string, ManifestEntry[]>();
  readonly #inModel = new Map<string, (ManifestEntry | UnreadableEntry)[]>();

  constructor(findings: Findings) {
    this.#findings = findings;
  }

  /** Adds one entry of each side, as long as there are any. */
  add(own: ManifestEntry | UnreadableEntry | undefined, listed: ManifestEntry | undefined): void {
    if (own !== undefined && own.name === listed?.name) {
      this.#compare(own, listed);
      return;
    }
    if (listed !== undefined) {
      const match = take(this.#inModel, listed.name);
      if (match === undefined) put(this.#inManifest, listed);
      else this.#compare(match, listed);
    }
    if (own !== undefined) {
      const match = take(this.#inManifest, own.name);
      if (match === undefined) put(this.#inModel, own);
      else this.#compare(own, match);
    }
  }

  #compare(own: ManifestEntry | UnreadableEntry, listed: ManifestEntry): void {
    if (own.sha256 === undefined || own.sha256 === listed.sha256) return;
    const message = differs(own, listed);
    this.#findings.add('error', 'digest-changed', { tensor: own.name }, message);
  }

  /** Reports what only one side has. */
  finish(): void {
    for (const name of this.#inManifest.keys()) {
      const message = 'is in the manifest, but not in the model';
      this.#findings.add('error', 'digest-missing', { tensor: name }, message);
    }
    for (const name of this.#inModel.keys()) {
      const message = 'is in the model, but not in the manifest';
      this.#findings.add('error', 'digest-new', { tensor: name }, message);
    }
  }
}

function put<Entry extends { readonly name: string }>(map: Map<string, Entry[]>, entry: Entry) {
  const entries = map.get(entry.name);
  if (entries === undefined) map.set(entry.name, [entry]);
  else entries.push(entry);
}

function take<Entry>(map: Map<string, Entry[]>, name: string): Entry | undefined {
  const entries = map.get(name);
  const entry = entries?.shift();
  if (entries?.length === 0) map.delete(name);
  return entry;
}

/** Says how two digests differ. */
export function differs(
  own: Pick<ManifestEntry, 'byteLength' | 'sha256'>,
  listed: Pick<ManifestEntry, 'byteLength' | 'sha256'>,
): string {
  if (own.byteLength !== listed.byteLength) {
    return `has ${own.byteLength} bytes, the manifest says ${listed.byteLength}`;
  }
  const [now, before] = [own.sha256, listed.sha256].map((sha256) => `${sha256.slice(0, 12)}…`);
  return `has the digest ${now}, the manifest says ${before}`;
}
