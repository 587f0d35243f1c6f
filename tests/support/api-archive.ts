// An archive in memory, fed by the journal of an API world.
import type { JsonObject } from '../../actors/kernel/json.ts';
import type { TurnWrite } from '../../actors/kernel/ports.ts';
import { ArchiveFile } from '../../src/archive/archive-file.ts';
import { ArchiveReader } from '../../src/archive/archive-reader.ts';
import type { History, HistoryBatch } from '../../src/archive/history.ts';
import { LocalHistory } from '../../src/archive/local-history.ts';
import { namespaceOf, type Row } from '../../src/archive/record.ts';

export class ApiArchive {
  readonly reader: ArchiveReader;
  readonly history: History;
  revision = 0;
  readonly #file = new ArchiveFile({ path: ':memory:', cluster: 'test' });
  readonly #listeners = new Set<(batch: HistoryBatch) => void>();
  readonly #seen = new Set<string>();

  constructor() {
    this.reader = new ArchiveReader((message) => Promise.resolve(this.#file.answer(message)));
    this.history = new LocalHistory(this, this.reader);
  }

  onRecorded(listener: (batch: HistoryBatch) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** A turn that the journal has written. */
  record({ address: { kind, id }, snapshot, events }: TurnWrite, revision: number): void {
    const state = (snapshot?.state ?? null) as JsonObject | null;
    const namespace = state === null ? '' : namespaceOf(kind, id, state);
    const where = { revision, kind, id, namespace };
    const atMs = events[0]?.atMs ?? Date.now();
    const version: Row = {
      what: 'version',
      ...where,
      schema: snapshot?.schema ?? 0,
      state,
      trace: snapshot?.trace ?? '',
      atMs,
      isFirst: !this.#seen.has(`${kind}/${id}`),
    };
    this.#seen.add(`${kind}/${id}`);
    const told = events.map((event): Row => ({ what: 'event', ...where, event }));
    const rows = this.#file.record({ rows: [version, ...told], gaps: [], revision });
    this.revision = revision;
    const items = rows.filter((row) => row.what === 'event');
    for (const listener of this.#listeners) listener({ items, through: revision });
  }

  close(): void {
    this.#file.close();
  }
}
