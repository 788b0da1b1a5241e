/** Names that are free everywhere in a model, so that an edit can never shadow or collide. Pure. */

/** The set of names in use: values, nodes and initializers of all scopes together. */
export class Names {
  readonly #collect: () => Iterable<string>;
  #collected: Set<string> | undefined;

  /** @param collect gives the names of the model; called when the first name is asked for or claimed */
  constructor(collect: () => Iterable<string>) {
    this.#collect = collect;
  }

  get #used(): Set<string> {
    this.#collected ??= new Set(this.#collect());
    return this.#collected;
  }

  has(name: string): boolean {
    return name !== '' && this.#used.has(name);
  }

  /** Notes a name that an edit has given; it may be in use as the name of something else. */
  add(name: string): void {
    this.#collected?.add(name);
  }

  /** Claims `wanted`, or the first free of `wanted_1`, `wanted_2`, … */
  claim(wanted: string): string {
    let name = wanted;
    for (let index = 1; this.#used.has(name); index++) name = `${wanted}_${index}`;
    this.#used.add(name);
    return name;
  }
}
