/** Cycles of a directed graph whose vertices are numbers: nodes that need each other, functions that call each other. Pure. */

/** What vertex `index` depends on; asked for once or twice a vertex. */
export type DependenciesOf = (index: number) => readonly number[];

/** The cycles of a graph. */
export interface Cycles {
  /**
   * One shortest cycle through the first vertex of each group whose vertices all reach each other: each entry is what
   * the one before depends on, and the last depends on the first.
   */
  readonly paths: readonly (readonly number[])[];
  /** Whether both are on one cycle. */
  isSame(a: number, b: number): boolean;
}

/** No group yet, and no group ever: the vertex is on no cycle. */
const NONE = 0;

/** A vertex whose dependencies are being looked at. */
interface Visit {
  readonly vertex: number;
  readonly dependencies: readonly number[];
  next: number;
}

/** Tarjan's strongly connected components, without recursion: a graph may be a chain of 100,000 nodes. */
class Components {
  /** The component of a vertex, from 1; 0 for those alone and without an edge to themselves. */
  readonly group: Int32Array;
  /** Vertices of each component. */
  readonly members: number[][] = [[]];
  readonly #dependenciesOf: DependenciesOf;
  /** Order of the first visit, from 1. */
  readonly #order: Int32Array;
  /** Earliest open vertex that is reached from a vertex. */
  readonly #lowest: Int32Array;
  readonly #isOpen: Uint8Array;
  readonly #open: number[] = [];
  #visited = 0;

  constructor(count: number, dependenciesOf: DependenciesOf) {
    this.group = new Int32Array(count);
    this.#order = new Int32Array(count);
    this.#lowest = new Int32Array(count);
    this.#isOpen = new Uint8Array(count);
    this.#dependenciesOf = dependenciesOf;
    for (let vertex = 0; vertex < count; vertex++) {
      if (this.#order[vertex] === 0) this.#search(vertex);
    }
  }

  #enter(vertex: number): Visit {
    this.#visited++;
    this.#order[vertex] = this.#visited;
    this.#lowest[vertex] = this.#visited;
    this.#isOpen[vertex] = 1;
    this.#open.push(vertex);
    return { vertex, dependencies: this.#dependenciesOf(vertex), next: 0 };
  }

  #lower(vertex: number, to: number): void {
    this.#lowest[vertex] = Math.min(this.#lowest[vertex] as number, to);
  }

  #search(start: number): void {
    const path = [this.#enter(start)];
    for (let visit = path.at(-1); visit !== undefined; visit = path.at(-1)) {
      const { vertex, dependencies } = visit;
      const dependency = dependencies[visit.next++];
      if (dependency === undefined) {
        path.pop();
        const parent = path.at(-1);
        if (parent !== undefined) this.#lower(parent.vertex, this.#lowest[vertex] as number);
        if (this.#lowest[vertex] === this.#order[vertex]) this.#close(visit);
      } else if (this.#order[dependency] === 0) {
        path.push(this.#enter(dependency));
      } else if (this.#isOpen[dependency] === 1) {
        this.#lower(vertex, this.#order[dependency] as number);
      }
    }
  }

  /** Takes the component of its first vertex off the open ones. */
  #close({ vertex, dependencies }: Visit): void {
    const members = this.#open.splice(this.#open.lastIndexOf(vertex));
    for (const member of members) this.#isOpen[member] = 0;
    if (members.length === 1 && !dependencies.includes(vertex)) return;
    for (const member of members) this.group[member] = this.members.length;
    this.members.push(members);
  }
}

/** A shortest cycle through `start` within its component. */
function shortestCycle(
  start: number,
  group: Int32Array,
  dependenciesOf: DependenciesOf,
): readonly number[] {
  const reachedFrom = new Map<number, number>();
  const pending = [start];
  for (const vertex of pending) {
    for (const dependency of dependenciesOf(vertex)) {
      if (group[dependency] !== group[start] || reachedFrom.has(dependency)) continue;
      reachedFrom.set(dependency, vertex);
      pending.push(dependency);
    }
    if (reachedFrom.has(start)) break;
  }
  const path: number[] = [];
  let vertex = start;
  do {
    vertex = reachedFrom.get(vertex) as number;
    path.push(vertex);
  } while (vertex !== start);
  return path.reverse();
}

/** Finds the cycles among `count` vertices. Memory: 13 bytes a vertex, and what the cycles take. */
export function findCycles(count: number, dependenciesOf: DependenciesOf): Cycles {
  const { group, members } = new Components(count, dependenciesOf);
  return {
    paths: members
      .slice(1)
      .map((vertices) => vertices.reduce((first, vertex) => Math.min(first, vertex)))
      .sort((a, b) => a - b)
      .map((first) => shortestCycle(first, group, dependenciesOf)),
    isSame: (a, b) => group[a] !== NONE && group[a] === group[b],
  };
}
