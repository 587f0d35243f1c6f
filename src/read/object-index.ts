// One way to find objects other than by id: by a value computed from their state.

/** Objects by a key that several may share. Holds ids only; what an id means is the collection's business. */
export class ObjectIndex<S> {
  readonly #keyOf: (state: S) => string | null;
  readonly #ids = new Map<string, Set<string>>();

  /** `keyOf` gives null for a state that is not to be found this way. It must not depend on anything else. */
  constructor(keyOf: (state: S) => string | null) {
    this.#keyOf = keyOf;
  }

  add(id: string, state: S): void {
    const key = this.#keyOf(state);
    if (key === null) return;
    const ids = this.#ids.get(key);
    if (ids === undefined) this.#ids.set(key, new Set([id]));
    else ids.add(id);
  }

  /** `state` is the one that the object was added with. */
  remove(id: string, state: S): void {
    const key = this.#keyOf(state);
    if (key === null) return;
    const ids = this.#ids.get(key);
    ids?.delete(id);
    if (ids?.size === 0) this.#ids.delete(key);
  }

  /** In no order. */
  get(key: string): Iterable<string> {
    return this.#ids.get(key) ?? [];
  }

  clear(): void {
    this.#ids.clear();
  }
}
