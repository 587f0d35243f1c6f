// What an archive does when the store no longer remembers what it has not recorded yet: it takes the store as it stands,
// the time between from other archives, and notes what none of them has.
//
// U1  Pages are asked for one after another, each when the one before is in the file: no archive is ever asked for more than
//     it can hold, nor holds more than one page of another's.
// U2  What one archive misses too is asked of the next.
import type { Json } from '../../actors/kernel/json.ts';
import { reasonOf } from '../../actors/kernel/errors.ts';
import type { Log } from '../../actors/kernel/ports.ts';
import type { Keys } from '../../transport/store/keys.ts';
import type { Change, Store } from '../../transport/store/store.ts';
import type { Archive } from './archive.ts';
import type { ArchiveMessage } from './archive-message.ts';
import { rowsOf } from './decode.ts';
import { overlap, type ArchiveStatus, type ExportPage, type Range, type Row } from './record.ts';

/** The other archives. */
export interface ArchivePeers {
  /** Those that have ever recorded something. */
  others(): readonly string[];
  /** Errors: `mesh/*`, `host/*`, `actor/timeout`. */
  ask(node: string, message: ArchiveMessage): Promise<Json>;
}

export interface Listing {
  /** Objects and events as the store has them at `revision`. */
  readonly changes: readonly Change[];
  readonly revision: number;
}

/** Objects and events as they stand, of one moment. Errors: `store/*`. */
export async function listStore(store: Store, keys: Keys): Promise<Listing> {
  const changes: Change[] = [];
  let revision: number | undefined;
  for (const prefix of [keys.objects(), keys.events()]) {
    const request = revision === undefined ? { prefix } : { prefix, revision };
    for await (const page of store.rangeAll(request)) {
      revision = page.revision;
      for (const entry of page.entries) {
        const { key, modRevision } = entry;
        changes.push({ kind: 'put', key, revision: modRevision, entry });
      }
    }
  }
  return { changes: changes.toSorted((a, b) => a.revision - b.revision), revision: revision ?? 0 };
}

/** What the listing shows that was not recorded at `cursor`: what is new or changed, and what is gone. */
export async function unrecorded(
  archive: Archive,
  { changes, revision }: Listing,
  cursor: number,
  options: { readonly keys: Keys; readonly log: Log; readonly nowMs: number },
): Promise<Row[]> {
  const fresh = changes.filter((change) => change.revision > cursor);
  const present = changes.flatMap(({ key }) => {
    const parsed = options.keys.parse(key);
    return parsed?.area === 'objects' ? [`${parsed.kind}/${parsed.id}`] : [];
  });
  const gone = await archive.goneSince(present);
  const removed = gone.map((one): Row => {
    const what = { what: 'version', schema: 0, state: null, trace: '', isFirst: false } as const;
    return { ...what, ...one, revision, atMs: options.nowMs };
  });
  return [...rowsOf(fresh, options), ...removed];
}

export interface Filled {
  /** What none of those who were asked had. */
  readonly missing: readonly Range[];
  /** Could not be asked, or not to the end. */
  readonly unasked: readonly string[];
}

/** Asks other archives for what is missing. Errors: of our own archive. */
export async function fillFrom(
  archive: Archive,
  peers: ArchivePeers,
  { nodes, missing, log }: { nodes: readonly string[]; missing: readonly Range[]; log: Log },
): Promise<Filled> {
  let left = missing;
  const unasked: string[] = [];
  for (const node of nodes) {
    if (left.length === 0) break;
    const taking = new Taking(archive, peers, node);
    left = await taking.take(left);
    if (taking.failure === null) continue;
    unasked.push(node);
    const reason = reasonOf(taking.failure);
    log('warn', 'an archive could not be asked for what is missing here', { peer: node, reason });
  }
  return { missing: left, unasked };
}

/** Of one other archive. */
class Taking {
  readonly #archive: Archive;
  readonly #peers: ArchivePeers;
  readonly #node: string;
  /** Why it was not asked to the end. */
  failure: unknown = null;

  constructor(archive: Archive, peers: ArchivePeers, node: string) {
    this.#archive = archive;
    this.#peers = peers;
    this.#node = node;
  }

  /** Resolves to what is still missing. */
  async take(missing: readonly Range[]): Promise<Range[]> {
    const status = await this.#ask<ArchiveStatus>({ kind: 'status' });
    if (status === null) return [...missing];
    const left: Range[] = [];
    for (const range of missing) {
      const through = await this.#takeRange(range, status.revision);
      left.push(...overlap([range], status.missing).filter(({ from }) => from <= through));
      if (through < range.to) left.push({ from: through + 1, to: range.to });
    }
    return merged(left);
  }

  /** Resolves to the revision up to which it was taken. */
  async #takeRange({ from, to }: Range, recorded: number): Promise<number> {
    let after = from - 1;
    const upTo = Math.min(to, recorded);
    while (after < upTo) {
      const page = await this.#ask<ExportPage>({ kind: 'export', after, upTo });
      if (page === null || page.through <= after) return after;
      await this.#archive.fill(page.rows, page.gaps);
      after = page.through;
    }
    return after;
  }

  /** Null: it could not be asked, now or before. */
  async #ask<T>(message: ArchiveMessage): Promise<T | null> {
    if (this.failure !== null) return null;
    try {
      // It is a daemon of this cluster, with the same program or a neighbouring version.
      return (await this.#peers.ask(this.#node, message)) as unknown as T;
    } catch (error) {
      this.failure = error;
      return null;
    }
  }
}

/** Ranges in order, those that touch as one. */
export function merged(ranges: readonly Range[]): Range[] {
  const all: Range[] = [];
  for (const range of ranges.toSorted((a, b) => a.from - b.from)) {
    const last = all.at(-1);
    if (last !== undefined && range.from <= last.to + 1)
      all[all.length - 1] = { from: last.from, to: Math.max(last.to, range.to) };
    else all.push(range);
  }
  return all;
}
