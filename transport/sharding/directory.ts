// Who is a member and who owns which shard, followed from the store.
//
// D1  A copy: it may be behind. Who acts on it is held by the fence of the write, not by what it read here.
// D2  A member whose value cannot be read is no member: it is logged, and gets no shards.
import type { Clock } from '../../actors/kernel/clock.ts';
import { reasonOf } from '../../actors/kernel/errors.ts';
import type { Log } from '../../actors/kernel/ports.ts';
import { decodeEnvelope } from '../store/codec.ts';
import { follow, type Follow } from '../store/follow.ts';
import type { Keys } from '../store/keys.ts';
import type { Change, Entry, Store } from '../store/store.ts';
import { decodeMember, type Member } from './member.ts';

/** An owner key as it stands. */
export interface Owner {
  readonly node: string;
  /** The key's create revision. */
  readonly epoch: number;
  readonly lease: string | null;
}

export interface DirectoryOptions {
  readonly store: Store;
  readonly keys: Keys;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  /** Members or owners have changed. */
  readonly onChange: () => void;
}

/** Follows members and owners until closed. */
export class Directory {
  readonly #options: DirectoryOptions;
  readonly #members = new Map<string, Member>();
  readonly #owners = new Map<number, Owner>();
  readonly #follows: readonly Follow[];

  constructor(options: DirectoryOptions) {
    const { keys } = options;
    this.#options = options;
    this.#follows = [
      this.#follow(keys.members(), (change) => this.#member(change)),
      this.#follow(keys.owners(), (change) => this.#owner(change)),
    ];
  }

  /** Resolves when both have been read once; rejects with `store/closed` when closed before. */
  async ready(): Promise<void> {
    await Promise.all(this.#follows.map((one) => one.ready()));
  }

  async close(): Promise<void> {
    await Promise.all(this.#follows.map((one) => one.close()));
  }

  get members(): readonly Member[] {
    return [...this.#members.values()];
  }

  memberOf(node: string): Member | undefined {
    return this.#members.get(node);
  }

  ownerOf(shard: number): Owner | null {
    return this.#owners.get(shard) ?? null;
  }

  #follow(prefix: string, take: (change: Change) => void): Follow {
    const { store, clock, random, log, onChange } = this.#options;
    const failed = (error: Error) =>
      log('error', 'a change of members or owners could not be taken in', { error });
    return follow(
      store,
      prefix,
      {
        changes: (changes) => {
          for (const change of changes) take(change);
          if (changes.length > 0) onChange();
        },
        failed,
      },
      { clock, random },
    );
  }

  #member(change: Change): void {
    const parsed = this.#options.keys.parse(change.key);
    if (parsed?.area !== 'members') return;
    const member = change.kind === 'put' ? this.#readable(change.entry) : undefined;
    if (member === undefined) this.#members.delete(parsed.node);
    else this.#members.set(parsed.node, member);
  }

  #readable(entry: Entry): Member | undefined {
    const decoded = decodeEnvelope(entry.value);
    try {
      return decoded.ok ? decodeMember(decoded.envelope.state) : undefined;
    } catch (error) {
      const fields = { key: entry.key, reason: reasonOf(error) };
      this.#options.log('error', 'unreadable member, left out of the cluster', fields);
      return undefined;
    }
  }

  #owner(change: Change): void {
    const parsed = this.#options.keys.parse(change.key);
    if (parsed?.area !== 'owners') return;
    const node = change.kind === 'put' ? nodeOf(change.entry) : undefined;
    if (change.kind === 'delete' || node === undefined)
      return void this.#owners.delete(parsed.shard);
    const { createRevision: epoch, lease } = change.entry;
    this.#owners.set(parsed.shard, { node, epoch, lease });
  }
}

function nodeOf(entry: Entry): string | undefined {
  const decoded = decodeEnvelope(entry.value);
  if (!decoded.ok) return undefined;
  const { state } = decoded.envelope;
  const isNamed = typeof state === 'object' && state !== null && 'node' in state;
  return isNamed && typeof state.node === 'string' ? state.node : undefined;
}
