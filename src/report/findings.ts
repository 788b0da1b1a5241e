/** What is wrong with a model, one finding a thing, and where. Pure. */

/**
 * `error`: ONNX Runtime or this tool refuses the model, or what it computes depends on who reads it. `warning`: it
 * loads, and other readers may refuse it. `note`: nothing is wrong, but one may want to know.
 */
export type Severity = 'error' | 'warning' | 'note';

/** What kind of thing is wrong. Codes are only ever added. */
export type FindingCode =
  | 'protobuf'
  | 'unknown-field'
  | 'ir-version'
  | 'metadata'
  | 'opset-missing'
  | 'opset-duplicate'
  | 'opset-version'
  | 'function-duplicate'
  | 'function-missing'
  | 'function-arguments'
  | 'function-output'
  | 'function-recursion'
  | 'name-duplicate'
  | 'name-shadowed'
  | 'name-undefined'
  | 'name-empty'
  | 'node-operator'
  | 'node-outputs'
  | 'node-order'
  | 'node-cycle'
  | 'graph-type'
  | 'graph-outputs'
  | 'value-info'
  | 'annotation'
  | 'attribute'
  | 'tensor-type'
  | 'tensor-shape'
  | 'tensor-bytes'
  | 'tensor-fields'
  | 'tensor-sparse'
  | 'external-reference'
  | 'external-path'
  | 'external-missing'
  | 'external-bounds'
  | 'external-overlap'
  | 'external-alignment'
  | 'external-unused'
  | 'safetensors-header'
  | 'safetensors-entry'
  | 'digest-model'
  | 'digest-changed'
  | 'digest-missing'
  | 'digest-new';

/** Where something is; what does not apply is left out. The main graph goes without saying. */
export interface Place {
  readonly graph?: string | undefined;
  readonly node?: string | undefined;
  readonly tensor?: string | undefined;
  readonly value?: string | undefined;
  readonly file?: string | undefined;
}

/** Where a graph is that a node holds. */
export function innerPlace(outer: Place, node: string, attribute: string): Place {
  const graph = `${node} ${attribute}`;
  return { graph: outer.graph === undefined ? graph : `${outer.graph} › ${graph}` };
}

/** One thing that is wrong. */
export interface Finding {
  readonly severity: Severity;
  readonly code: FindingCode;
  readonly where: Place;
  /** One line: what is wrong, and what was received. */
  readonly message: string;
  /** How often it was met; `where` is the first place. */
  readonly count: number;
}

/** How many findings there are, those not listed included. */
export interface FindingCounts {
  readonly errors: number;
  readonly warnings: number;
  readonly notes: number;
  /** Findings beyond the first thousand of a kind, which are counted and not listed. */
  readonly notListed: number;
}

/** Findings of one code that are listed. A file of a stranger may have a million, and a reader has seen enough. */
const LISTED_PER_CODE = 1000;

/** Longest name in a place, in characters: names in a model may have any length. */
const LONGEST_NAME = 1000;

const SEVERITIES = ['error', 'warning', 'note'] as const;

/** Parts of a place, the outermost first. */
const PARTS = ['file', 'graph', 'node', 'tensor', 'value'] as const;

/** A copy with names cut to a length, of an object whose parts may be accessors. */
function shortened(where: Place): Place {
  const names: { -readonly [part in keyof Place]: string } = {};
  for (const part of PARTS) {
    const name = where[part];
    if (name === undefined) continue;
    names[part] = name.length <= LONGEST_NAME ? name : `${name.slice(0, LONGEST_NAME)}…`;
  }
  return names;
}

/** Collects findings. Memory: the listed ones. */
export class Findings {
  readonly #listed: { -readonly [field in keyof Finding]: Finding[field] }[] = [];
  readonly #perCode = new Map<FindingCode, number>();
  readonly #perSeverity = new Map<Severity, number>();
  readonly #groups = new Map<string, { count: number }>();

  /**
   * Adds a finding.
   * @param group what findings of this code must have in common to be one finding with a count
   */
  add(severity: Severity, code: FindingCode, where: Place, message: string, group?: string): void {
    const key = group === undefined ? undefined : `${code} ${group}`;
    const known = key === undefined ? undefined : this.#groups.get(key);
    if (known !== undefined) {
      known.count++;
      return;
    }
    const number = (this.#perCode.get(code) ?? 0) + 1;
    this.#perCode.set(code, number);
    this.#perSeverity.set(severity, (this.#perSeverity.get(severity) ?? 0) + 1);
    if (number > LISTED_PER_CODE) return;
    const finding = { severity, code, where: shortened(where), message, count: 1 };
    this.#listed.push(finding);
    if (key !== undefined) this.#groups.set(key, finding);
  }

  /** The findings, errors first, each kind in the order it was met. */
  list(): readonly Finding[] {
    return SEVERITIES.flatMap((severity) =>
      this.#listed.filter((finding) => finding.severity === severity),
    );
  }

  get counts(): FindingCounts {
    const [errors, warnings, notes] = SEVERITIES.map(
      (severity) => this.#perSeverity.get(severity) ?? 0,
    ) as [number, number, number];
    return {
      errors,
      warnings,
      notes,
      notListed: errors + warnings + notes - this.#listed.length,
    };
  }
}
