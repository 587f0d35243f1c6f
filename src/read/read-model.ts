// The daemon's copy of all objects, fed by a watch on the store: what reads and lists are answered from.
//
// R1  A client that wrote is answered only once the copy has reached the write's revision.
// R2  Waiting is for conditions, with a deadline; every change of the object is looked at, in order.
// R3  While the store is out of reach the copy goes on answering, and says that it may be stale.
// R4  apply() is one turn of the event loop: nobody reads a copy that is half of one revision, half of another.
import { agentOperation } from '../../actors/agent-operation/agent-operation.ts';
import { artifact } from '../../actors/artifact/artifact.ts';
import { blob } from '../../actors/blob/blob.ts';
import { diskSnapshot } from '../../actors/disk-snapshot/disk-snapshot.ts';
import { instance } from '../../actors/instance/instance.ts';
import { interfaceKind } from '../../actors/interface/interface.ts';
import type { Clock } from '../../actors/kernel/clock.ts';
import type { Log, StoredSnapshot } from '../../actors/kernel/ports.ts';
import { namespace } from '../../actors/namespace/namespace.ts';
import { network } from '../../actors/network/network.ts';
import { node } from '../../actors/node/node.ts';
import { upload } from '../../actors/upload/upload.ts';
import { HASH_KEYS, type HashName } from './blob-hashes.ts';
import {
  Collection,
  type Keys,
  type ReadCollection,
  type ReadKind,
  type ReadObject,
} from './collection.ts';
import { Waiters } from './waiters.ts';

/** One object as the feed brings it; null: gone. */
export interface ObjectChange {
  readonly kind: string;
  readonly id: string;
  readonly revision: number;
  readonly snapshot: StoredSnapshot | null;
}

type StateOf<K> = K extends ReadKind<infer S> ? S : never;

/** What waits for the revision, not for an object. */
const REVISION = '';

export class ReadModel {
  readonly agentOperations: Collection<StateOf<typeof agentOperation>, 'instance'>;
  readonly artifacts: Collection<StateOf<typeof artifact>, 'sourceUrl' | 'shared'>;
  readonly blobs: Collection<StateOf<typeof blob>, HashName>;
  readonly diskSnapshots: Collection<StateOf<typeof diskSnapshot>>;
  readonly instances: Collection<StateOf<typeof instance>>;
  readonly interfaces: Collection<StateOf<typeof interfaceKind>, 'network'>;
  readonly namespaces: Collection<StateOf<typeof namespace>>;
  readonly networks: Collection<StateOf<typeof network>>;
  readonly nodes: Collection<StateOf<typeof node>>;
  readonly uploads: Collection<StateOf<typeof upload>>;
  readonly #byKind = new Map<string, Pick<Collection<unknown>, 'apply' | 'clear'>>();
  readonly #log: Log;
  readonly #waiters: Waiters;
  readonly #listeners = new Set<(changes: readonly ObjectChange[]) => void>();
  #revision = 0;
  #isStale = false;

  constructor(clock: Clock, log: Log) {
    this.#log = log;
    this.#waiters = new Waiters(clock);
    this.agentOperations = this.#collect(agentOperation, {
      instance: (state) => state.instanceId,
    });
    this.artifacts = this.#collect(artifact, {
      sourceUrl: (state) => state.sourceUrl,
      shared: (state) => (state.shared ? 'shared' : null),
    });
    this.blobs = this.#collect(blob, HASH_KEYS);
    this.diskSnapshots = this.#collect(diskSnapshot, {});
    this.instances = this.#collect(instance, {});
    this.interfaces = this.#collect(interfaceKind, { network: (state) => state.networkId });
    this.namespaces = this.#collect(namespace, {});
    this.networks = this.#collect(network, {});
    this.nodes = this.#collect(node, {});
    this.uploads = this.#collect(upload, {});
  }

  /** Everything up to this store revision is in the copy. */
  get revision(): number {
    return this.#revision;
  }

  /** The store is out of reach: the copy may be old. */
  get isStale(): boolean {
    return this.#isStale;
  }

  /** Requests that wait for the copy. */
  get waiting(): number {
    return this.#waiters.size;
  }

  /** Brings the copy to `revision`; `replaced`: the store was set back, and these are all its objects. */
  apply(changes: readonly ObjectChange[], revision: number, replaced: boolean): void {
    if (replaced) for (const collection of this.#byKind.values()) collection.clear();
    for (const { kind, id, snapshot, revision: changedAt } of changes) {
      this.#byKind.get(kind)?.apply(id, snapshot, changedAt);
      // One by one, so that who waits sees each state that was, not only the last of a batch.
      this.#waiters.wake(waitKey(kind, id));
    }
    this.#revision = revision;
    this.#waiters.wake(REVISION);
    for (const listener of this.#listeners) listener(changes);
  }

  /** Calls after each apply(); the returned function ends it. */
  onChange(listener: (changes: readonly ObjectChange[]) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  linkChanged(isUp: boolean): void {
    this.#isStale = !isUp;
  }

  /** Resolves once the copy has reached the revision. Error: `actor/timeout`. */
  async reached(revision: number, timeoutMs = 5_000): Promise<void> {
    const found = () => (this.#revision >= revision ? true : undefined);
    const what = `the change is made, but this daemon could not read it back within ${timeoutMs} ms`;
    await this.#waiters.wait(REVISION, found, timeoutMs, what);
  }

  /** Resolves with the first state of the object, now or later, for which `isDone` is true. Error: `actor/timeout`. */
  when<S>(
    collection: ReadCollection<S>,
    id: string,
    isDone: (state: S) => boolean,
    timeoutMs: number,
  ): Promise<ReadObject<S>> {
    const found = () => {
      const object = collection.get(id);
      return object !== undefined && isDone(object.state) ? object : undefined;
    };
    const { kind } = collection;
    const what = `${kind} ${id} did not get there within ${timeoutMs} ms`;
    return this.#waiters.wait(waitKey(kind, id), found, timeoutMs, what);
  }

  #collect<S, I extends string>(kind: ReadKind<S>, keys: Keys<S, I>): Collection<S, I> {
    const collection = new Collection(
      kind,
      (id, reason) =>
        this.#log('error', 'unreadable object left out of lists', { kind: kind.kind, id, reason }),
      keys,
    );
    this.#byKind.set(kind.kind, collection);
    return collection;
  }
}

function waitKey(kind: string, id: string): string {
  return `${kind}/${id}`;
}
