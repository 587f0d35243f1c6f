// The daemon's copy of all objects, fed by a watch on the store: what reads and lists are answered from.
//
// R1  A client that wrote is answered only once the copy has reached the write's revision.
// R2  Waiting is for conditions, with a deadline; every change of the object is looked at, in order.
// R3  While the store is out of reach the copy goes on answering, and says that it may be stale.
import { artifact } from '../../actors/artifact/artifact.ts';
import { blob } from '../../actors/blob/blob.ts';
import { instance } from '../../actors/instance/instance.ts';
import { interfaceKind } from '../../actors/interface/interface.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { Clock } from '../../actors/kernel/clock.ts';
import type { Log, StoredSnapshot } from '../../actors/kernel/ports.ts';
import { namespace } from '../../actors/namespace/namespace.ts';
import { network } from '../../actors/network/network.ts';
import { node } from '../../actors/node/node.ts';
import { Collection, type ReadKind, type ReadObject } from './collection.ts';

/** One object as the feed brings it; null: gone. */
export interface ObjectChange {
  readonly kind: string;
  readonly id: string;
  readonly revision: number;
  readonly snapshot: StoredSnapshot | null;
}

interface Waiter {
  check(): boolean;
  fail(error: TroupeError): void;
}

export class ReadModel {
  readonly artifacts: Collection<Parameters<typeof artifact.index>[0]>;
  readonly blobs: Collection<Parameters<typeof blob.index>[0]>;
  readonly instances: Collection<Parameters<typeof instance.index>[0]>;
  readonly interfaces: Collection<Parameters<typeof interfaceKind.index>[0]>;
  readonly namespaces: Collection<Parameters<typeof namespace.index>[0]>;
  readonly networks: Collection<Parameters<typeof network.index>[0]>;
  readonly nodes: Collection<Parameters<typeof node.index>[0]>;
  readonly #byKind = new Map<string, Collection<unknown>>();
  readonly #waiters = new Set<Waiter>();
  readonly #clock: Clock;
  #revision = 0;
  #isStale = false;

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    const collect = <S>(kind: ReadKind<S>): Collection<S> => {
      const collection = new Collection(kind, (id, reason) =>
        log('error', 'unreadable object left out of lists', { kind: kind.kind, id, reason }),
      );
      this.#byKind.set(kind.kind, collection);
      return collection;
    };
    this.artifacts = collect(artifact);
    this.blobs = collect(blob);
    this.instances = collect(instance);
    this.interfaces = collect(interfaceKind);
    this.namespaces = collect(namespace);
    this.networks = collect(network);
    this.nodes = collect(node);
  }

  /** Everything up to this store revision is in the copy. */
  get revision(): number {
    return this.#revision;
  }

  get isStale(): boolean {
    return this.#isStale;
  }

  /** Brings the copy to `revision`; `replaced`: the store was set back, and these are all its objects. */
  apply(changes: readonly ObjectChange[], revision: number, replaced: boolean): void {
    if (replaced) for (const collection of this.#byKind.values()) collection.clear();
    for (const change of changes) {
      this.#byKind.get(change.kind)?.apply(change.id, change.snapshot, change.revision);
      // One by one, so that who waits sees each state that was, not only the last of a batch.
      this.#wake();
    }
    this.#revision = revision;
    this.#wake();
  }

  linkChanged(isUp: boolean): void {
    this.#isStale = !isUp;
  }

  /** Resolves once the copy has reached the revision. Error: `actor/timeout`. */
  reached(revision: number, timeoutMs = 5_000): Promise<void> {
    return this.#wait(
      () => (this.#revision >= revision ? true : undefined),
      timeoutMs,
      `the read model did not reach revision ${revision}`,
    ).then(() => undefined);
  }

  /**
   * Resolves with the first state of the object, now or later, for which `isDone` is true. Error: `actor/timeout`.
   */
  when<S>(
    collection: Collection<S>,
    id: string,
    isDone: (state: S) => boolean,
    timeoutMs: number,
  ): Promise<ReadObject<S>> {
    const found = () => {
      const object = collection.get(id);
      return object !== undefined && isDone(object.state) ? object : undefined;
    };
    return this.#wait(found, timeoutMs, `object ${id} did not get there within ${timeoutMs} ms`);
  }

  #wait<T>(find: () => T | undefined, timeoutMs: number, what: string): Promise<T> {
    const now = find();
    if (now !== undefined) return Promise.resolve(now);
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const waiter: Waiter = {
      check: () => {
        const value = find();
        if (value === undefined) return false;
        resolve(value);
        return true;
      },
      fail: reject,
    };
    this.#waiters.add(waiter);
    const timer = this.#clock.after(timeoutMs, () =>
      waiter.fail(new TroupeError('actor/timeout', what)),
    );
    return promise.finally(() => {
      timer.cancel();
      this.#waiters.delete(waiter);
    });
  }

  #wake(): void {
    for (const waiter of this.#waiters) if (waiter.check()) this.#waiters.delete(waiter);
  }
}
