/** Names that are free everywhere in a model, so that an edit can never shadow or collide. Pure. */

/** The set of names in use: values, nodes and initializers of all scopes together. */
export class Names {
  readonly #used = new Set<string>();

  add(name: string): void {
    if (name !== '') this.#used.add(name);
  }

  has(name: string): boolean {
    return this.#used.has(name);
  }

  /** Claims `wanted`, or the first free of `wanted_1`, `wanted_2`, … */
  claim(wanted: string): string {
    let name = wanted;
    for (let index = 1; this.#used.has(name); index++) name = `${wanted}_${index}`;
    this.#used.add(name);
    return name;
  }
}
