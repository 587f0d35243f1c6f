// All objects of one kind, as last read from the store: by id, and by namespace and name.
import { reasonOf } from '../../actors/kernel/errors.ts';
import type { IndexEntry, SnapshotFormat } from '../../actors/kernel/kind.ts';
import type { StoredSnapshot } from '../../actors/kernel/ports.ts';
import { readSnapshot } from '../../actors/kernel/snapshot.ts';

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

export class Collection<S> {
  readonly #kind: ReadKind<S>;
  readonly #objects = new Map<string, ReadObject<S>>();
  /** `namespace/name` to ids; names are not unique. */
  readonly #byName = new Map<string, Set<string>>();
  readonly #onUnreadable: (id: string, reason: string) => void;

  constructor(kind: ReadKind<S>, onUnreadable: (id: string, reason: string) => void) {
    this.#kind = kind;
    this.#onUnreadable = onUnreadable;
  }

  get(id: string): ReadObject<S> | undefined {
    return this.#objects.get(id);
  }

  /** In no order. */
  all(): IterableIterator<ReadObject<S>> {
    return this.#objects.values();
  }

  /** Those that the kind's name index lists under the name; `namespace` null: in any namespace. */
  named(name: string, namespace: string | null): ReadObject<S>[] {
    if (namespace !== null) return this.#resolve(this.#byName.get(nameKey(namespace, name)));
    return [...this.#objects.values()].filter(
      ({ state }) => this.#kind.index(state)?.name === name,
    );
  }

  #resolve(ids: ReadonlySet<string> | undefined): ReadObject<S>[] {
    return [...(ids ?? [])].flatMap((id) => this.#objects.get(id) ?? []);
  }

  /** Takes over what the store says now; null: gone. A snapshot this daemon can't read leaves the last readable one out. */
  apply(id: string, stored: StoredSnapshot | null, revision: number): ReadObject<S> | undefined {
    this.#forget(id);
    if (stored === null) return undefined;
    try {
      const object = { id, state: readSnapshot(this.#kind.snapshot, stored), revision };
      this.#objects.set(id, object);
      this.#remember(object);
      return object;
    } catch (error) {
      this.#onUnreadable(id, reasonOf(error));
      return undefined;
    }
  }

  clear(): void {
    this.#objects.clear();
    this.#byName.clear();
  }

  #remember({ id, state }: ReadObject<S>): void {
    const entry = this.#kind.index(state);
    if (entry === null) return;
    const key = nameKey(entry.namespace, entry.name);
    const ids = this.#byName.get(key) ?? new Set();
    this.#byName.set(key, ids.add(id));
  }

  #forget(id: string): void {
    const before = this.#objects.get(id);
    if (before === undefined) return;
    this.#objects.delete(id);
    const entry = this.#kind.index(before.state);
    if (entry === null) return;
    const key = nameKey(entry.namespace, entry.name);
    const ids = this.#byName.get(key);
    ids?.delete(id);
    if (ids?.size === 0) this.#byName.delete(key);
  }
}

function nameKey(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}
