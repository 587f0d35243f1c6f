// An actor's copy of its object: the state last known to be in the store.
import type { Address, SnapshotFormat } from './kind.ts';
import { readSnapshot } from './snapshot.ts';
import type { Journal, Loaded } from './ports.ts';

export class StoredObject<S> {
  readonly address: Address;
  readonly #initial: S;
  readonly #format: SnapshotFormat<S>;
  #state: S;
  #exists = false;
  #revision = 0;
  #isCurrent = false;
  #loadedTrace: string | undefined;

  constructor(address: Address, initial: S, format: SnapshotFormat<S>) {
    this.address = address;
    this.#initial = initial;
    this.#format = format;
    this.#state = initial;
  }

  get state(): S {
    return this.#state;
  }

  /** False: nothing is stored, and `state` is the kind's initial one. */
  get exists(): boolean {
    return this.#exists;
  }

  get revision(): number {
    return this.#revision;
  }

  /** Of the request that had changed the object last when it was loaded. */
  get loadedTrace(): string | undefined {
    return this.#loadedTrace;
  }

  /** False until loaded, and again when the outcome of a write is unknown. */
  get isCurrent(): boolean {
    return this.#isCurrent;
  }

  /** Throws the journal's errors and `actor/bad-snapshot`; the old copy stays then. */
  async load(journal: Journal): Promise<void> {
    this.adopt(await journal.load(this.address));
  }

  /** Takes over what was read from the store. Throws `actor/bad-snapshot`. */
  adopt(loaded: Loaded | null): void {
    this.#state = loaded === null ? this.#initial : readSnapshot(this.#format, loaded.snapshot);
    this.#exists = loaded !== null;
    this.#revision = loaded?.revision ?? 0;
    this.#loadedTrace = loaded?.snapshot.trace;
    this.#isCurrent = true;
  }

  /** The store has taken `state` (null: the removal) at `revision`. */
  written(state: S | null, revision: number): void {
    this.#state = state ?? this.#initial;
    this.#exists = state !== null;
    this.#revision = state === null ? 0 : revision;
  }

  /** The next turn has to load first. */
  doubt(): void {
    this.#isCurrent = false;
  }
}
