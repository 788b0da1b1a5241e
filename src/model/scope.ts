/** The values of one graph by name. Pure. */

import type { NameTable } from '../proto/name-table.ts';
import { createIdMap, type IdMap } from './id-map.ts';
import type { Value } from './value.ts';

/** Kinds of declaration. */
export const Declared = { INPUT: 0, INITIALIZER: 1, OUTPUT: 2, SPARSE: 3 } as const;
const KINDS = 4;

/** One of {@link Declared}. */
export type DeclaredKind = (typeof Declared)[keyof typeof Declared];

/** Makes the value that a file declares as entry `index` of a kind. */
export type MakeValue = (name: string, kind: DeclaredKind, index: number) => Value;

/**
 * What a file declares is kept as numbers; a Value is made when something asks for it. Of a large graph an edit sees
 * few values, and a report next to none.
 */
export class Scope {
  readonly #names: NameTable;
  readonly #make: MakeValue;
  readonly #declared: IdMap;
  /** Values that were made of declarations; null for those that have left the scope. */
  readonly #made = new Map<number, Value | null>();
  /** Values the file does not have, or not by this name. */
  readonly #added = new Map<string, Value>();
  /** Values with another name than the file declares, and the number of that name. */
  readonly #renamed = new Map<Value, number>();

  /** @param capacity how many declarations there will be at most */
  constructor(names: NameTable, capacity: number, make: MakeValue) {
    this.#names = names;
    this.#declared = createIdMap(capacity, names.size);
    this.#make = make;
  }

  /** Notes a declaration. Returns false, and changes nothing, when the name is taken. */
  declare(id: number, kind: DeclaredKind, index: number): boolean {
    if (this.#declared.get(id) >= 0) return false;
    this.#declared.set(id, index * KINDS + kind);
    return true;
  }

  /** Whether the file declares the name with this number. */
  isDeclared(id: number): boolean {
    return this.#declared.get(id) >= 0;
  }

  /** The value of a declaration. */
  byId(id: number): Value | undefined {
    const made = this.#made.get(id);
    if (made !== undefined) return made ?? undefined;
    const declaration = this.#declared.get(id);
    if (declaration < 0) return undefined;
    const kind = (declaration % KINDS) as DeclaredKind;
    const value = this.#make(this.#names.text(id), kind, Math.floor(declaration / KINDS));
    this.#made.set(id, value);
    return value;
  }

  /** As {@link byId}, but makes nothing: undefined for a value nobody asked for yet, null for one that is gone. */
  madeById(id: number): Value | null | undefined {
    return this.#made.get(id);
  }

  get(name: string): Value | undefined {
    const added = this.#added.get(name);
    if (added !== undefined) return added;
    const id = this.#names.find(name);
    const value = id === undefined ? undefined : this.byId(id);
    return value === undefined || this.#renamed.has(value) ? undefined : value;
  }

  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  /** Adds a value the file does not have. */
  add(value: Value): void {
    this.#added.set(value.name, value);
  }

  delete(value: Value): void {
    if (this.#added.get(value.name) === value) this.#added.delete(value.name);
    const id = this.#renamed.get(value) ?? this.#names.find(value.name);
    if (id !== undefined && this.#made.get(id) === value) this.#made.set(id, null);
    this.#renamed.delete(value);
  }

  /** Gives values other names, all at once: a name may be one that another of them gives up. Others must be free. */
  rename(names: ReadonlyMap<Value, string>): void {
    for (const value of names.keys()) {
      if (this.#added.get(value.name) === value) this.#added.delete(value.name);
      else this.#renamed.set(value, this.#names.internText(value.name));
    }
    for (const [value, name] of names) {
      value.rename(name);
      const id = this.#renamed.get(value);
      if (id !== undefined && this.#names.text(id) === name) this.#renamed.delete(value);
      else this.#added.set(name, value);
    }
  }

  /** Names in use, in no particular order. */
  *keys(): Generator<string> {
    for (const id of this.#declared.keys()) {
      const made = this.#made.get(id);
      if (made === undefined || (made !== null && !this.#renamed.has(made))) {
        yield this.#names.text(id);
      }
    }
    yield* this.#added.keys();
  }

  /** All values, in no particular order. */
  *values(): Generator<Value> {
    for (const id of this.#declared.keys()) {
      const value = this.byId(id);
      if (value !== undefined && !this.#renamed.has(value)) yield value;
    }
    yield* this.#added.values();
  }
}
