// The history that this node's own archive has.
import type { ArchiveReader } from './archive-reader.ts';
import type { History, HistoryBatch, HistoryPage, HistoryQuery } from './history.ts';
import type { Recorder } from './recorder.ts';

/** What is recorded now. */
export type Live = Pick<Recorder, 'revision' | 'onRecorded'>;

export class LocalHistory implements History {
  readonly #recorder: Live;
  readonly #reader: ArchiveReader;

  constructor(recorder: Live, reader: ArchiveReader) {
    this.#recorder = recorder;
    this.#reader = reader;
  }

  get revision(): number {
    return this.#recorder.revision;
  }

  async read(query: HistoryQuery): Promise<HistoryPage> {
    // What the file is behind by held nothing to record (recorder.ts).
    const seen = Math.min(this.#recorder.revision, query.upTo ?? Infinity);
    const page = await this.#reader.page(query);
    return page.more ? page : { ...page, through: Math.max(page.through, seen) };
  }

  onRecorded(listener: (batch: HistoryBatch) => void): () => void {
    return this.#recorder.onRecorded(listener);
  }
}
