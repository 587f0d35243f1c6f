// The store that all simulated daemons share, and what it holds in readable form. Every transaction says which
// daemon sent it, so that the promises are checked on what the store took in and not on what anybody believes.
import { decodeEnvelope } from '../../../transport/store/codec.ts';
import type { Keys } from '../../../transport/store/keys.ts';
import { MemoryCluster } from '../../../transport/store/memory-cluster.ts';
import { MemoryStore, type MemoryStoreOptions } from '../../../transport/store/memory-store.ts';
import type { Change, Entry, Txn, TxnResult } from '../../../transport/store/store.ts';

/** One start of one daemon. */
export interface Writer {
  readonly node: string;
  readonly bootId: string;
}

/** Called in the turn in which the store took a transaction in. */
export type TxnListener = (writer: Writer, txn: Txn, result: TxnResult) => void;

export class SimServer extends MemoryCluster {
  readonly #senders = new WeakMap<Txn, Writer>();
  onTaken: TxnListener = () => {};

  sentBy(txn: Txn, writer: Writer): void {
    this.#senders.set(txn, writer);
  }

  override txn(txn: Txn): TxnResult {
    const result = super.txn(txn);
    const writer = this.#senders.get(txn);
    if (writer !== undefined && result.succeeded) this.onTaken(writer, txn, result);
    return result;
  }
}

/** A daemon's client of it. */
export class SimStore extends MemoryStore {
  readonly #server: SimServer;
  readonly #writer: Writer;

  constructor(server: SimServer, writer: Writer, options: Omit<MemoryStoreOptions, 'cluster'>) {
    super({ ...options, cluster: server });
    this.#server = server;
    this.#writer = writer;
  }

  override txn(txn: Txn): Promise<TxnResult> {
    this.#server.sentBy(txn, this.#writer);
    return super.txn(txn);
  }
}

/** An object as stored. */
export interface StoredObject {
  readonly kind: string;
  readonly id: string;
  readonly state: unknown;
  readonly revision: number;
}

interface Leased {
  readonly node: string;
  readonly lease: string | null;
  /** Of members. */
  readonly bootId: string;
}

/** What the store holds now. */
export class StoreView {
  /** By `kind/id`. */
  readonly objects = new Map<string, StoredObject>();
  /** Every address that was ever stored. */
  readonly seen = new Set<string>();
  readonly owners = new Map<number, Leased>();
  readonly members = new Map<string, Leased>();
  /** `pool/item` -> holder. */
  readonly claims = new Map<string, string>();
  /** Event keys by `kind/id`. */
  readonly events = new Map<string, Set<string>>();
  /** Event keys with when they were stored, by `kind/id event`. */
  readonly toldAtMono = new Map<string, number>();
  /** Every event that was ever stored, in order. */
  readonly told: { readonly name: string; readonly event: string; readonly revision: number }[] =
    [];
  /** Index rows, `namespace/kind/name/id`. */
  readonly names = new Set<string>();
  /** Called after an object has changed. */
  onObject: (object: StoredObject) => void = () => {};
  readonly #keys: Keys;
  readonly #server: MemoryCluster;

  constructor(server: MemoryCluster, keys: Keys) {
    this.#server = server;
    this.#keys = keys;
    server.listen((changes) => {
      for (const change of changes) this.#take(change);
    });
  }

  stateOf<S>(kind: string, id: string): S | undefined {
    return this.objects.get(`${kind}/${id}`)?.state as S | undefined;
  }

  /** All objects of a kind with their ids. */
  all<S>(kind: string): (readonly [string, S])[] {
    const found: (readonly [string, S])[] = [];
    for (const object of this.objects.values())
      if (object.kind === kind) found.push([object.id, object.state as S]);
    return found;
  }

  #take(change: Change): void {
    const parsed = this.#keys.parse(change.key);
    const entry = change.kind === 'put' ? change.entry : null;
    switch (parsed?.area) {
      case 'objects':
        return this.#takeObject(parsed.kind, parsed.id, entry);
      case 'owners':
        return put(this.owners, parsed.shard, entry && leased(entry));
      case 'members':
        return put(this.members, parsed.node, entry && leased(entry));
      case 'alloc':
        return put(this.claims, `${parsed.pool}/${parsed.item}`, entry && String(stateIn(entry)));
      case 'events': {
        const name = `${parsed.kind}/${parsed.id}`;
        const held = this.events.get(name) ?? new Set();
        if (entry === null) held.delete(parsed.event);
        else {
          held.add(parsed.event);
          this.toldAtMono.set(`${name} ${parsed.event}`, this.#server.clock.monoMs());
          this.told.push({ name, event: parsed.event, revision: entry.modRevision });
        }
        return put(this.events, name, held.size > 0 ? held : null);
      }
      case 'names': {
        const row = `${parsed.namespace}/${parsed.kind}/${parsed.name}/${parsed.id}`;
        return void (entry === null ? this.names.delete(row) : this.names.add(row));
      }
      case 'archives':
      case undefined:
        return;
    }
  }

  #takeObject(kind: string, id: string, entry: Entry | null): void {
    const name = `${kind}/${id}`;
    if (entry === null) return void this.objects.delete(name);
    const object = { kind, id, state: stateIn(entry), revision: entry.modRevision };
    this.objects.set(name, object);
    this.seen.add(name);
    this.onObject(object);
  }
}

function put<K, V>(map: Map<K, V>, key: K, value: V | null): void {
  if (value === null) map.delete(key);
  else map.set(key, value);
}

function leased(entry: Entry): Leased {
  const state = stateIn(entry) as { readonly node: string; readonly bootId?: string };
  return { node: state.node, lease: entry.lease, bootId: state.bootId ?? '' };
}

function stateIn(entry: Entry): unknown {
  const decoded = decodeEnvelope(entry.value);
  if (!decoded.ok) throw new Error(`${entry.key}: ${decoded.reason}`);
  return decoded.envelope.state;
}
