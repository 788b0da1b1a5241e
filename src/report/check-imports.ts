/** Operator sets: imported once, in a version, by all that use them. Pure. */

import { quoted } from '../external-data/reference.ts';
import { plainDomain } from '../model/node.ts';
import { longToBigInt } from '../proto/int64.ts';
import type { onnx } from '../proto/onnx.ts';
import type { Findings, Place } from './findings.ts';

function domainLabel(domain: string): string {
  return domain === '' ? 'ai.onnx' : domain;
}

/** What a model or a function imports. */
export class Imports {
  readonly #findings: Findings;
  readonly #where: Place;
  readonly #versions = new Map<string, bigint>();

  /** Checks the list itself: one version for a domain, from 1. */
  constructor(entries: readonly onnx.IOperatorSetIdProto[], where: Place, findings: Findings) {
    this.#findings = findings;
    this.#where = where;
    for (const entry of entries) {
      const domain = plainDomain(entry.domain);
      const label = quoted(domainLabel(domain));
      const version = longToBigInt(entry.version);
      const known = this.#versions.get(domain);
      if (known === undefined) this.#versions.set(domain, version);
      else {
        const isSame = known === version;
        const what = isSame ? `version ${version} twice` : `versions ${known} and ${version}`;
        const severity = isSame ? 'warning' : 'error';
        findings.add(severity, 'opset-duplicate', where, `imports ${label} in ${what}`);
      }
      if (version < 1n) {
        findings.add('error', 'opset-version', where, `imports ${label} in version ${version}`);
      }
    }
  }

  /** Reports a node whose operator set is not imported, once for each domain. */
  check(domain: string, where: Place): void {
    if (this.#versions.has(domain)) return;
    const importer = this.#where.graph === undefined ? 'the model' : 'the function';
    this.#findings.add(
      'error',
      'opset-missing',
      where,
      `is of operator set ${quoted(domainLabel(domain))}, which ${importer} does not import`,
      `${this.#where.graph ?? ''}\0${domain}`,
    );
  }
}
