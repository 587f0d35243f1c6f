// One daemon's place in the cluster: a lease, a member key, and the shards it owns under that lease.
//
// M1  An owner key is created only when absent, under our lease; its create revision is the epoch of
//     every address in the shard. A node's own (pinned) objects are fenced by its member key instead.
// M2  epochOf() answers null from the moment our own monotonic clock says that the lease may be over,
//     whatever the store's client believes.
// M3  A shard that is given up has no epoch here before its key is deleted, so that it never has two deciders.
// M4  Only the same installation may end its predecessor's lease: its process is dead, since we hold
//     the machine's lock. Anybody else's member key is left alone.
// M5  A node that was removed from the cluster, or whose place was given to another machine, does not join.
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { Address } from '../../actors/kernel/kind.ts';
import type { Clock } from '../../actors/kernel/clock.ts';
import type { Log, Ownership } from '../../actors/kernel/ports.ts';
import { decodeEnvelope, encodeEnvelope } from '../store/codec.ts';
import type { Keys } from '../store/keys.ts';
import type { Compare, Lease, LeaseEnd, Store, Txn } from '../store/store.ts';
import { admissionKey, decodeAdmission, isWelcome } from './admission.ts';
import type { Owner } from './directory.ts';
import { decodeMember, type Member } from './member.ts';
import { shardOf } from './shard.ts';

/** Owner keys taken in one transaction; the server allows 128 operations. */
const CLAIMS_PER_TXN = 64;

export interface MembershipOptions {
  readonly store: Store;
  readonly keys: Keys;
  readonly clock: Clock;
  readonly log: Log;
  readonly member: Member;
  readonly leaseTtlMs: number;
  /** keyDigest() of this node's public key; none on a machine that is alone. */
  readonly key?: string;
}

export interface ShardMoves {
  readonly taken: number;
  readonly givenUp: number;
}

/** Joined until leave() or until the lease is lost; then a new one is joined. */
export class Membership implements Ownership {
  readonly #options: MembershipOptions;
  readonly #lease: Lease;
  readonly #memberEpoch: number;
  /** What the member key says; null: not known, the answer to the last change was lost. */
  #weight: number | null;
  readonly #epochs = new Map<number, number>();
  /** Given up, under this epoch; the key may still be there. */
  readonly #leaving = new Map<number, number>();
  /** The epoch under which a shard was last given up: an old view still shows it as ours. */
  readonly #left = new Map<number, number>();
  #taken = 0;
  #givenUp = 0;

  private constructor(options: MembershipOptions, lease: Lease, memberEpoch: number) {
    this.#options = options;
    this.#lease = lease;
    this.#memberEpoch = memberEpoch;
    this.#weight = options.member.weight;
  }

  /** Errors: `host/locked` when a daemon of another installation uses this node's name; `node/removed` (M5); `store/*`. */
  static async join(options: MembershipOptions): Promise<Membership> {
    const { store, keys, member, leaseTtlMs } = options;
    await endPredecessor(options);
    const lease = await store.lease(leaseTtlMs);
    const key = keys.member(member.node);
    const value = encodeEnvelope({ schema: 1, state: member });
    try {
      const result = await store.txn({
        compare: [{ target: 'create', key, is: '==', than: 0 }, await checkWelcome(options)],
        then: [{ op: 'put', key, value, lease: lease.id }],
      });
      if (result.succeeded) return new Membership(options, lease, result.revision);
      throw nameInUse(member.node);
    } catch (error) {
      // The key may be there although the answer was lost: kept alive, it would shut us out for ever. When the
      // store cannot be told either, it goes by the TTL.
      await lease.revoke().catch(() => undefined);
      throw error;
    }
  }

  /** The shards that this daemon owns. */
  get shards(): readonly number[] {
    return [...this.#epochs.keys()];
  }

  /** How many shards were taken and given up so far. */
  get moves(): ShardMoves {
    return { taken: this.#taken, givenUp: this.#givenUp };
  }

  /** Says in its member key what share of the shards it carries; quiet when that is said. Errors: `store/*`. */
  async carry(weight: number): Promise<void> {
    if (weight === this.#weight) return;
    const { store, keys, member } = this.#options;
    const key = keys.member(member.node);
    const value = encodeEnvelope({ schema: 1, state: { ...member, weight } });
    this.#weight = null;
    const { succeeded } = await store.txn({
      compare: [{ target: 'create', key, is: '==', than: this.#memberEpoch }],
      then: [{ op: 'put', key, value, lease: this.#lease.id }],
    });
    if (!succeeded) throw new TroupeError('store/lease-lost', 'the member key is another one now');
    this.#weight = weight;
  }

  /** Takes those of the shards that nobody owns. Errors: `store/*`; what was taken before stays taken. */
  async take(shards: readonly number[]): Promise<void> {
    for (let at = 0; at < shards.length; at += CLAIMS_PER_TXN) {
      await this.#take(shards.slice(at, at + CLAIMS_PER_TXN));
    }
  }

  /** A shard under our lease is ours, also when the answer to its taking was lost; unless we have given it up since. */
  adopt(shard: number, owner: Owner): void {
    const isKnown = this.#epochs.has(shard) || this.#leaving.has(shard);
    if (isKnown || owner.lease !== this.#lease.id || owner.epoch === this.#left.get(shard)) return;
    this.#own(shard, owner.epoch);
  }

  #own(shard: number, epoch: number): void {
    this.#epochs.set(shard, epoch);
    this.#taken++;
  }

  /** Shards that are given up and whose key may still be there. */
  get leaving(): readonly number[] {
    return [...this.#leaving.keys()];
  }

  /**
   * Gives shards to whoever takes them. Stop their actors first: from this call on they have no epoch here.
   * Errors: `store/*`; call again, for what is then still leaving().
   */
  async release(shards: readonly number[]): Promise<void> {
    for (const shard of shards) {
      const epoch = this.#epochs.get(shard);
      if (epoch === undefined) continue;
      this.#epochs.delete(shard);
      this.#leaving.set(shard, epoch);
    }
    const held = shards.flatMap((shard) => {
      const epoch = this.#leaving.get(shard);
      return epoch === undefined ? [] : [{ shard, epoch }];
    });
    for (let at = 0; at < held.length; at += CLAIMS_PER_TXN) {
      await this.#release(held.slice(at, at + CLAIMS_PER_TXN));
    }
  }

  async #release(held: readonly { shard: number; epoch: number }[]): Promise<void> {
    const { store, keys } = this.#options;
    const txn = (some: typeof held): Txn => ({
      compare: some.map(({ shard, epoch }) => ({
        target: 'create',
        key: keys.owner(shard),
        is: '==',
        than: epoch,
      })),
      then: some.map(({ shard }) => ({ op: 'delete', key: keys.owner(shard) })),
    });
    const { succeeded } = await store.txn(txn(held));
    // One of them has gone already, by a delete whose answer was lost: the others one by one.
    if (!succeeded) for (const one of held) await store.txn(txn([one]));
    for (const { shard, epoch } of held) {
      this.#leaving.delete(shard);
      this.#left.set(shard, epoch);
      this.#givenUp++;
    }
  }

  async #take(shards: readonly number[]): Promise<void> {
    if (shards.length === 0) return;
    const { store } = this.#options;
    const together = await store.txn(this.#claim(shards));
    if (together.succeeded) {
      for (const shard of shards) this.#own(shard, together.revision);
      return;
    }
    // Somebody owns one of them: take the others one by one.
    for (const shard of shards) {
      const result = await store.txn(this.#claim([shard]));
      if (result.succeeded) this.#own(shard, result.revision);
    }
  }

  #claim(shards: readonly number[]): Txn {
    const { keys, member } = this.#options;
    const value = encodeEnvelope({ schema: 1, state: { node: member.node } });
    const lease = this.#lease.id;
    return {
      compare: shards.map((shard) => ({
        target: 'create',
        key: keys.owner(shard),
        is: '==',
        than: 0,
      })),
      then: shards.map((shard) => ({ op: 'put', key: keys.owner(shard), value, lease })),
    };
  }

  epochOf(address: Address): number | null {
    if (this.#options.clock.monoMs() >= this.#lease.validUntilMono()) return null;
    if (address.kind === 'node') {
      return address.id === this.#options.member.node ? this.#memberEpoch : null;
    }
    return this.#epochs.get(shardOf(address)) ?? null;
  }

  /** Called once when the lease is over without leave(). */
  onLost(listener: (end: LeaseEnd) => void): void {
    this.#lease.onLost(listener);
  }

  /** Gives up every shard and the member key at once. Stop the actors first. */
  async leave(): Promise<void> {
    await this.#lease.revoke();
  }
}

/** The key whose create revision fences writes to an address. */
export function fenceKey(keys: Keys, address: Address): string {
  return address.kind === 'node' ? keys.member(address.id) : keys.owner(shardOf(address));
}

/** M5. Gives what the joining has to compare. Error: `node/removed`. */
async function checkWelcome({
  store,
  keys,
  member,
  key = '',
}: MembershipOptions): Promise<Compare> {
  const at = admissionKey(keys, member.node);
  const entry = await store.get(at);
  const record = entry === null ? null : decodeAdmission(entry.value);
  const { node } = member;
  if (isWelcome(record, key)) {
    return { target: 'mod', key: at, is: '==', than: entry?.modRevision ?? 0 };
  }
  const message = record?.isRemoved
    ? `${node} was removed from the cluster, and what it had with it; to make this machine a node again, give it an empty data directory and an invitation for its name (\`troupe node invite --for ${node}\`)`
    : `another machine has taken the place of ${node} in the cluster, by an invitation for its name; this one can join under another, with an empty data directory`;
  throw new TroupeError('node/removed', message, { node });
}

async function endPredecessor(options: MembershipOptions): Promise<void> {
  const { store, keys, member, log } = options;
  const entry = await store.get(keys.member(member.node));
  if (entry === null) return;
  const decoded = decodeEnvelope(entry.value);
  if (!decoded.ok) throw nameInUse(member.node);
  const before = decodeMember(decoded.envelope.state);
  if (before.installation !== member.installation) throw nameInUse(member.node);
  if (before.bootId === member.bootId || entry.lease === null) return;
  log('info', "ending the lease of this node's previous daemon", { bootId: before.bootId });
  await store.revokeLease(entry.lease);
}

function nameInUse(node: string): TroupeError {
  return new TroupeError(
    'host/locked',
    `another daemon is a member of this cluster under the node name ${node}; give this one a name of its own (--node), or stop the other`,
  );
}
