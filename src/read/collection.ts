// All objects of one kind, as last read from the store: by id, by namespace, by name, and by what else its users
// look for.
import { reasonOf } from '../../actors/kernel/errors.ts';
import type { IndexEntry, SnapshotFormat } from '../../actors/kernel/kind.ts';
import type { StoredSnapshot } from '../../actors/kernel/ports.ts';
import { readSnapshot } from '../../actors/kernel/snapshot.ts';
import { ObjectIndex } from './object-index.ts';

export interface ReadObject<S> {
  readonly id: string;
  readonly state: S;
  /** Store revision of its last change. */
  readonly revision: number;
}

/** What a collection needs of a kind; every Kind is one. */
export interface ReadKind<S> {
  readonly kind: string;
  index(state: S): IndexEntry | null;
  readonly snapshot: SnapshotFormat<S>;
}

/** What most readers of a collection need of it. */
export interface ReadCollection<S> {
  readonly kind: string;
  get(id: string): ReadObject<S> | undefined;
  /** In no order. */
  all(): IterableIterator<ReadObject<S>>;
  /** Those that the kind's name index lists under the name; `namespace` null: in any namespace. */
  named(name: string, namespace: string | null): ReadObject<S>[];
  /** Those that belong to the namespace, in any state. */
  inNamespace(namespace: string): ReadObject<S>[];
}

/** Further ways to find objects: what they are called, and the key of a state. */
export type Keys<S, I extends string> = Readonly<Record<I, (state: S) => string | null>>;

export class Collection<S, I extends string = never> implements ReadCollection<S> {
  readonly #kind: ReadKind<S>;
  readonly #objects = new Map<string, ReadObject<S>>();
  readonly #byName: ObjectIndex<S>;
  readonly #byNamespaceAndName: ObjectIndex<S>;
  readonly #byNamespace: ObjectIndex<S>;
  readonly #further: Readonly<Record<I, ObjectIndex<S>>>;
  readonly #onUnreadable: (id: string, reason: string) => void;

  constructor(
    kind: ReadKind<S>,
    onUnreadable: (id: string, reason: string) => void,
    keys: Keys<S, I>,
  ) {
    this.#kind = kind;
    this.#onUnreadable = onUnreadable;
    this.#byName = new ObjectIndex((state) => kind.index(state)?.name ?? null);
    this.#byNamespaceAndName = new ObjectIndex((state) => nameKey(kind.index(state)));
    this.#byNamespace = new ObjectIndex(namespaceOf);
    const further = Object.entries<Keys<S, I>[I]>(keys);
    this.#further = Object.fromEntries(
      further.map(([name, keyOf]) => [name, new ObjectIndex(keyOf)]),
    ) as Record<I, ObjectIndex<S>>;
  }

  get kind(): string {
    return this.#kind.kind;
  }

  get(id: string): ReadObject<S> | undefined {
    return this.#objects.get(id);
  }

  get size(): number {
    return this.#objects.size;
  }

  all(): IterableIterator<ReadObject<S>> {
    return this.#objects.values();
  }

  named(name: string, namespace: string | null): ReadObject<S>[] {
    if (namespace === null) return this.#resolve(this.#byName.get(name));
    return this.#resolve(this.#byNamespaceAndName.get(nameKey({ namespace, name }) ?? ''));
  }

  inNamespace(namespace: string): ReadObject<S>[] {
    return this.#resolve(this.#byNamespace.get(namespace));
  }

  /** Those with the key in one of the further indexes. */
  by(index: I, key: string): ReadObject<S>[] {
    return this.#resolve(this.#further[index].get(key));
  }

  #resolve(ids: Iterable<string>): ReadObject<S>[] {
    return Array.from(ids).flatMap((id) => this.#objects.get(id) ?? []);
  }

  /** Takes over what the store says now; null: gone. A snapshot that this daemon can't read is left out of the copy. */
  apply(id: string, stored: StoredSnapshot | null, revision: number): ReadObject<S> | undefined {
    this.#forget(id);
    if (stored === null) return undefined;
    try {
      const object = { id, state: readSnapshot(this.#kind.snapshot, stored), revision };
      this.#objects.set(id, object);
      for (const index of this.#indexes()) index.add(id, object.state);
      return object;
    } catch (error) {
      this.#onUnreadable(id, reasonOf(error));
      return undefined;
    }
  }

  clear(): void {
    this.#objects.clear();
    for (const index of this.#indexes()) index.clear();
  }

  #forget(id: string): void {
    const before = this.#objects.get(id);
    if (before === undefined) return;
    this.#objects.delete(id);
    for (const index of this.#indexes()) index.remove(id, before.state);
  }

  #indexes(): ObjectIndex<S>[] {
    const further = Object.values<ObjectIndex<S>>(this.#further);
    return [this.#byName, this.#byNamespaceAndName, this.#byNamespace, ...further];
  }
}

/** Unambiguous whatever either text holds. */
function nameKey(entry: IndexEntry | null): string | null {
  return entry === null ? null : `${entry.namespace.length}:${entry.namespace}${entry.name}`;
}

/** Most kinds' states have one; a namespace's and a node's have none. */
function namespaceOf(state: unknown): string | null {
  const { namespace } = state as { readonly namespace?: unknown };
  return typeof namespace === 'string' ? namespace : null;
}
