// How far each archive has recorded, as it says in the store: what the outbox may forget, and whom to ask for history.
//
// P1  A revision is said only after it is safe in the archive's file, so what is forgotten because of it is not lost.
// P2  The key stays while its node is away: who comes back goes on, and whoever keeps the outbox decides how long it waits.
import type { Clock } from '../../actors/kernel/clock.ts';
import type { Log } from '../../actors/kernel/ports.ts';
import { closed, decoder, Type } from '../../actors/kernel/schema.ts';
import { reasonOf } from '../../actors/kernel/errors.ts';
import { decodeEnvelope, encodeEnvelope } from '../store/codec.ts';
import { follow, type Follow } from '../store/follow.ts';
import type { Keys } from '../store/keys.ts';
import type { Change, Store } from '../store/store.ts';

const Progress = closed({ revision: Type.Integer({ minimum: 0 }) });
const decodeProgress = decoder('archive', Progress, 'store/bad-value');

/** Says it. Errors: `store/*`. */
export async function sayProgress(
  store: Store,
  keys: Keys,
  node: string,
  revision: number,
): Promise<void> {
  await store.put(keys.archive(node), encodeEnvelope({ schema: 1, state: { revision } }));
}

/** The node keeps no archive any more. Errors: `store/*`. */
export async function endProgress(store: Store, keys: Keys, node: string): Promise<void> {
  const key = keys.archive(node);
  if ((await store.get(key)) !== null) await store.delete(key);
}

export interface ArchiveDirectoryOptions {
  readonly store: Store;
  readonly keys: Keys;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}

/** Follows what archives say until closed. */
export class ArchiveDirectory {
  readonly #options: ArchiveDirectoryOptions;
  readonly #recorded = new Map<string, number>();
  readonly #listeners = new Set<() => void>();
  readonly #follow: Follow;

  constructor(options: ArchiveDirectoryOptions) {
    const { store, keys, clock, random, log } = options;
    this.#options = options;
    const observer = {
      changes: (changes: readonly Change[]) => {
        for (const change of changes) this.#take(change);
        if (changes.length > 0) for (const listener of this.#listeners) listener();
      },
      failed: (error: Error) => log('error', 'what archives say could not be taken in', { error }),
    };
    this.#follow = follow(store, keys.archives(), observer, { clock, random });
  }

  /** By node. */
  get recorded(): ReadonlyMap<string, number> {
    return this.#recorded;
  }

  /** Resolves when it has been read once; rejects with `store/closed` when closed before. */
  ready(): Promise<void> {
    return this.#follow.ready();
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  close(): Promise<void> {
    return this.#follow.close();
  }

  #take(change: Change): void {
    const { keys, log } = this.#options;
    const parsed = keys.parse(change.key);
    if (parsed?.area !== 'archives') return;
    this.#recorded.delete(parsed.node);
    if (change.kind === 'delete') return;
    const decoded = decodeEnvelope(change.entry.value);
    try {
      if (!decoded.ok) throw new Error(decoded.reason);
      this.#recorded.set(parsed.node, decodeProgress(decoded.envelope.state).revision);
    } catch (error) {
      log('error', 'unreadable archive in the store', {
        key: change.key,
        reason: reasonOf(error),
      });
    }
  }
}
