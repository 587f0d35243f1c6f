// Feeds the read model from the store, and reads what a shard's actors start from.
import type { Clock } from '../../actors/kernel/clock.ts';
import type { Address } from '../../actors/kernel/kind.ts';
import type { Loaded, Log } from '../../actors/kernel/ports.ts';
import type { ResumeEntry } from '../../actors/kernel/runtime.ts';
import { readEntry } from '../../transport/sharding/journal.ts';
import { follow, type Follow } from '../../transport/store/follow.ts';
import type { Keys } from '../../transport/store/keys.ts';
import type { Change, Entry, Store } from '../../transport/store/store.ts';
import type { ObjectChange, ReadModel } from '../read/read-model.ts';

export interface FeedOptions {
  readonly store: Store;
  readonly keys: Keys;
  readonly read: ReadModel;
  readonly clock: Clock;
  /** For the jitter of retries. */
  readonly random: () => number;
  readonly log: Log;
  /** The feed has broken for good: a bug. */
  onFailed(error: Error): void;
}

/** Follows all objects until closed. */
export function feedReadModel(options: FeedOptions): Follow {
  const { store, keys, read, clock, random, log } = options;
  return follow(
    store,
    keys.objects(),
    {
      changes: (changes, revision, replaced) =>
        read.apply(
          changes.flatMap((change) => toObjectChange(keys, change, log) ?? []),
          revision,
          replaced,
        ),
      link: (isUp, reason) => {
        read.linkChanged(isUp);
        if (!isUp) log('warn', 'the store is out of reach, reads may be stale', { reason });
      },
      failed: (error) => options.onFailed(error),
    },
    { clock, random },
  );
}

function toObjectChange(keys: Keys, change: Change, log: Log): ObjectChange | undefined {
  const parsed = keys.parse(change.key);
  if (parsed?.area !== 'objects') return undefined;
  const { kind, id } = parsed;
  const { revision } = change;
  if (change.kind === 'delete') return { kind, id, revision, snapshot: null };
  const loaded = readable(change.entry, log);
  return loaded && { kind, id, revision, snapshot: loaded.snapshot };
}

function readable(entry: Entry, log: Log): Loaded | undefined {
  try {
    return readEntry(entry);
  } catch (error) {
    log('error', 'unreadable value in the store', { key: entry.key, error });
    return undefined;
  }
}

/** Every stored object that `isMeant`, read from the store itself; the runtime starts those that have work. */
export async function* storedObjects(
  store: Store,
  keys: Keys,
  log: Log,
  isMeant: (address: Address) => boolean,
): AsyncGenerator<ResumeEntry> {
  for await (const page of store.rangeAll({ prefix: keys.objects() })) {
    for (const entry of page.entries) {
      const parsed = keys.parse(entry.key);
      if (parsed?.area !== 'objects') continue;
      const address = { kind: parsed.kind, id: parsed.id };
      if (!isMeant(address)) continue;
      const loaded = readable(entry, log);
      if (loaded !== undefined) yield { address, loaded };
    }
  }
}
