// History on a node that serves the API and keeps no archive: what happens from its start on it records in memory, so that
// live streams are its own; what came before it asks of an archive.
import type { ArchiveReader } from './archive-reader.ts';
import type { History, HistoryBatch, HistoryPage, HistoryQuery } from './history.ts';

export interface EdgeHistoryOptions {
  readonly recent: History;
  /** Of an archive. */
  readonly older: ArchiveReader;
  /** `recent` has everything after this revision. */
  readonly since: () => number;
}

export class EdgeHistory implements History {
  readonly #options: EdgeHistoryOptions;

  constructor(options: EdgeHistoryOptions) {
    this.#options = options;
  }

  get revision(): number {
    return this.#options.recent.revision;
  }

  async read(query: HistoryQuery): Promise<HistoryPage> {
    const { recent, older, since } = this.#options;
    const from = since();
    if (query.after >= from) return recent.read(query);
    const page = await older.page({ ...query, upTo: Math.min(query.upTo ?? from, from) });
    return { ...page, more: page.more || page.through < (query.upTo ?? this.revision) };
  }

  onRecorded(listener: (batch: HistoryBatch) => void): () => void {
    return this.#options.recent.onRecorded(listener);
  }
}
