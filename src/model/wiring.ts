/** Who reads what, for a whole model. Pure. */

import type { Graph } from './graph.ts';

/**
 * Counts the readers of values when something first asks for them, or is about to change them. Until then opening
 * a model need not look at every input of every node twice.
 */
export class Wiring {
  readonly #graphs: Graph[] = [];
  #isConnected = false;

  /** Adds a graph that was built from a file. */
  add(graph: Graph): void {
    this.#graphs.push(graph);
  }

  /** From now on every value knows its readers, and edits keep that true. */
  connect(): void {
    if (this.#isConnected) return;
    this.#isConnected = true;
    for (const graph of this.#graphs) {
      for (const node of graph.nodes) {
        for (const input of node.inputs) input?.addUse(node);
      }
    }
  }
}
