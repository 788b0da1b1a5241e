/** Which names are defined in the scopes that are open, as numbers of a name table. Pure. */

import { withLength } from '../bytes.ts';

/** What defines a name: the node of this index, or one of the numbers below. */
export type Definer = number;

/** Definers that are no nodes. */
export const DefinedBy = { INPUT: -1, INITIALIZER: -2, SPARSE: -3 } as const;

/** What a definition meets: nothing, the same name in the same scope, or in an outer one. */
export type Meeting = 'new' | 'twice' | 'shadows';

interface OpenScope {
  readonly serial: number;
  /** Definitions of outer scopes that this one hides: name, scope, definer. */
  readonly hidden: [number, number, Definer][];
}

/**
 * The names of nested scopes, one graph inside the other. Memory: 8 bytes a name of the file, whatever the number of
 * scopes: a scope that was closed takes its definitions along by its number alone.
 */
export class NameScopes {
  /** By name: the serial number of the scope that defines it, from 1. */
  #scopes: Int32Array<ArrayBuffer>;
  #definers: Int32Array<ArrayBuffer>;
  readonly #open: OpenScope[] = [];
  /** By serial number: 1 for the outermost, 0 once closed. */
  readonly #depths = [0];

  /** @param capacity how many names there are for now */
  constructor(capacity: number) {
    this.#scopes = new Int32Array(capacity);
    this.#definers = new Int32Array(capacity);
  }

  /** Opens a scope inside the innermost one. */
  open(): void {
    const serial = this.#depths.push(this.#open.length + 1) - 1;
    this.#open.push({ serial, hidden: [] });
  }

  /** Closes the innermost scope. */
  close(): void {
    const scope = this.#open.pop() as OpenScope;
    this.#depths[scope.serial] = 0;
    for (const [id, outer, definer] of scope.hidden) {
      this.#scopes[id] = outer;
      this.#definers[id] = definer;
    }
  }

  /** Number of scopes that are open. */
  get depth(): number {
    return this.#open.length;
  }

  /** Defines a name in the innermost scope; a second definition there changes nothing. */
  define(id: number, definer: Definer): Meeting {
    this.#reserve(id);
    const scope = this.#open.at(-1) as OpenScope;
    const before = this.depthOf(id);
    if (before === this.depth) return 'twice';
    if (before > 0) {
      scope.hidden.push([id, this.#scopes[id] as number, this.#definers[id] as number]);
    }
    this.#scopes[id] = scope.serial;
    this.#definers[id] = definer;
    return before > 0 ? 'shadows' : 'new';
  }

  /** Changes what defines a name that the innermost scope defines. */
  redefine(id: number, definer: Definer): void {
    this.#definers[id] = definer;
  }

  /** Depth of the innermost open scope that defines a name, 1 being the outermost; 0 when none does. */
  depthOf(id: number): number {
    return this.#depths[this.#scopes[id] ?? 0] as number;
  }

  /** What defines a name in the scope of that depth. */
  definerOf(id: number): Definer {
    return this.#definers[id] as number;
  }

  #reserve(id: number): void {
    if (id < this.#scopes.length) return;
    const length = Math.max(id + 1, 2 * this.#scopes.length);
    this.#scopes = withLength(this.#scopes, length);
    this.#definers = withLength(this.#definers, length);
  }
}
