/** Whether data files called `.safetensors` are what safetensors readers take, and have an entry for each tensor. */

import { basename } from 'node:path';
import { FormatError } from '../errors.ts';
import { quoted } from '../external-data/reference.ts';
import { describes } from '../external-data/safetensors.ts';
import { SafetensorsHeader } from '../external-data/safetensors-header.ts';
import type { FileRange, SourceFile } from '../model/tensor-data.ts';
import { fileReader } from '../proto/file-reader.ts';
import type { ShapedTensor } from './check-tensor.ts';
import type { Findings, Place } from './findings.ts';

/** Checks headers, each when the first of its tensors is met. Memory: 24 bytes an entry. */
export class SafetensorsCheck {
  readonly #findings: Findings;
  /** Undefined for a header that is damaged, which is reported once. */
  readonly #headers = new Map<SourceFile, SafetensorsHeader | undefined>();

  constructor(findings: Findings) {
    this.#findings = findings;
  }

  /** Checks that the bytes of a tensor are those of an entry that describes it. */
  check(range: Omit<FileRange, 'kind'>, { dtype, dims }: ShapedTensor, where: Place): void {
    const { file, byteOffset, byteLength } = range;
    const header = this.#headerOf(file);
    if (header === undefined || byteLength === 0) return;
    const entry = header.find(byteOffset, byteLength);
    if (entry !== undefined && describes(entry, dtype, dims)) return;
    const name = basename(file.path);
    const message =
      entry === undefined
        ? `its bytes are not those of an entry of ${quoted(name)}`
        : `its entry in ${quoted(name)} is ${quoted(entry.dtype)} [${entry.shape.join(', ')}]`;
    this.#findings.add('warning', 'safetensors-entry', where, message);
  }

  /** Where the data of a file begins, as far as it was looked at and is well-formed; else 0. */
  dataStart(file: SourceFile): number {
    return this.#headers.get(file)?.dataStart ?? 0;
  }

  #headerOf(file: SourceFile): SafetensorsHeader | undefined {
    if (this.#headers.has(file)) return this.#headers.get(file);
    const report = (message: string) => {
      const where = { file: basename(file.path) };
      this.#findings.add('warning', 'safetensors-header', where, message);
    };
    let header: SafetensorsHeader | undefined;
    try {
      header = new SafetensorsHeader(fileReader(file.fd, file.byteLength, file.path), report);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      report(error.message);
    }
    this.#headers.set(file, header);
    return header;
  }
}
