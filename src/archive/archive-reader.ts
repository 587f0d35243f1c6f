// Asks an archive: this node's own where there is one, else another's.
import type { Json } from '../../actors/kernel/json.ts';
import type { Address } from '../../actors/kernel/kind.ts';
import { MAX_ROWS, type ArchiveMessage } from './archive-message.ts';
import type { HistoryPage, HistoryQuery } from './history.ts';
import type { Blame, EventRow, NewestPage, VersionRow } from './record.ts';

/** A moment: a store revision, or a time (ms since the epoch). */
export type Moment = { readonly revision: number } | { readonly atMs: number };

export interface NewestQuery {
  /** Negative: all. */
  readonly limit: number;
  /** Null: any. */
  readonly type: string | null;
}

/** Errors of all methods: those of asking. */
export class ArchiveReader {
  readonly #ask: (message: ArchiveMessage) => Promise<Json>;

  constructor(ask: (message: ArchiveMessage) => Promise<Json>) {
    this.#ask = ask;
  }

  /** The object's newest events, newest first. */
  async newest({ kind: of, id }: Address, { limit, type }: NewestQuery): Promise<EventRow[]> {
    const wanted = limit < 0 ? Infinity : limit;
    const rows: EventRow[] = [];
    while (rows.length < wanted) {
      const last = rows.at(-1);
      const before: [number, string] | null =
        last === undefined ? null : [last.revision, last.event.id];
      const page = await this.#asked<NewestPage>({
        kind: 'newest',
        of,
        id,
        type,
        before,
        limit: Math.min(MAX_ROWS, wanted - rows.length),
      });
      rows.push(...page.rows);
      if (!page.more || page.rows.length === 0) break;
    }
    return rows;
  }

  page({ after, upTo, filter, limit }: HistoryQuery): Promise<HistoryPage> {
    const { namespace = null, kind: of = null, id = null, types } = filter;
    return this.#asked<HistoryPage>({
      kind: 'page',
      after,
      upTo: upTo ?? Number.MAX_SAFE_INTEGER,
      namespace,
      of,
      id,
      types: types === undefined ? null : [...types],
      limit: Math.min(Math.max(1, limit), MAX_ROWS),
    });
  }

  /** The object as it was then, or is now; null: not known. */
  version({ kind: of, id }: Address, moment: Moment | null): Promise<VersionRow | null> {
    const revision = moment !== null && 'revision' in moment ? moment.revision : null;
    const atMs = moment !== null && 'atMs' in moment ? moment.atMs : null;
    return this.#asked<VersionRow | null>({ kind: 'version', of, id, revision, atMs });
  }

  /** Which version gave each member of the object's present state its value. */
  blame({ kind: of, id }: Address): Promise<Blame[]> {
    return this.#asked<Blame[]>({ kind: 'blame', of, id });
  }

  /** What followed from a request, in order; `namespace` null: everybody's. */
  traced(trace: string, namespace: string | null, limit: number): Promise<EventRow[]> {
    return this.#asked<EventRow[]>({ kind: 'traced', trace, namespace, limit });
  }

  async #asked<T>(message: ArchiveMessage): Promise<T> {
    // What answers is an archive of this cluster: a daemon of this version, or a neighbouring one.
    return (await this.#ask(message)) as unknown as T;
  }
}
