// The nodes that take chunks of a replica that is coming in here: they copy it too, and may have something to give.

export class Takers {
  readonly #nodes = new Set<string>();
  #met: ((node: string) => void) | null = null;

  add(node: string): void {
    if (this.#nodes.has(node)) return;
    this.#nodes.add(node);
    this.#met?.(node);
  }

  /** Tells of each once, also of those that came before. */
  listen(met: (node: string) => void): void {
    this.#met = met;
    for (const node of this.#nodes) met(node);
  }
}
