// An archive: what the store has said, in order, in a file of SQLite.
//
// F1  The cursor only moves forward, in the transaction that records what it passes over: a crash at any point leaves the
//     file as it was before a batch or after it. A batch that does not follow on the cursor is refused.
// F2  Recording something again changes nothing: an event is known by object, revision and id, a version by object and revision.
// F3  A version that is the same as the one before it is not kept again.
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { Json } from '../../actors/kernel/json.ts';
import type { ArchiveMessage } from './archive-message.ts';
import { openDatabase, setFileAside } from './database.ts';
import {
  blame,
  cursorOf,
  exportPage,
  gapRows,
  newest,
  page,
  status,
  traced,
  version,
} from './queries.ts';
import {
  namespaceOf,
  without,
  type EventRow,
  type GapRow,
  type Range,
  type RecordBatch,
  type Row,
  type VersionRow,
} from './record.ts';
import { removeSlice, type Sweep } from './retention.ts';
import { eventValues } from './rows.ts';

export interface ArchiveFileOptions {
  readonly path: string;
  /** Name of the cluster: another's file is set aside. */
  readonly cluster: string;
}

/** Pages of the file that a slice of a sweep gives back to the file system. */
const VACUUM_PAGES = 1_000;

/** Blocks while it works: runs in a thread of its own (archive-thread.ts). Close it. */
export class ArchiveFile {
  readonly #options: ArchiveFileOptions;
  #db: DatabaseSync;
  #statements: Statements;
  #setAside: string | null;

  /** Errors: of the file system. */
  constructor(options: ArchiveFileOptions) {
    this.#options = options;
    const { db, setAside } = openDatabase(options.path, options.cluster);
    this.#db = db;
    this.#statements = prepare(db);
    this.#setAside = setAside;
  }

  /** Why the file that was there was set aside; null: it was not, or that has been told. */
  takeSetAside(): string | null {
    const reason = this.#setAside;
    this.#setAside = null;
    return reason;
  }

  /** Everything up to this revision is recorded, or noted as missing. */
  get cursor(): number {
    return cursorOf(this.#db);
  }

  /**
   * Records what follows on the cursor; returns the rows, each with its namespace. A row without one (empty) gets that of
   * its object as it was last. Error: `store/bad-value` when it does not follow.
   */
  record(batch: RecordBatch): Row[] {
    return this.#inTransaction(() => {
      checkOrder(batch, this.cursor);
      for (const gap of batch.gaps) this.#addGap(gap);
      const rows = batch.rows.map((row) => this.#add(row));
      this.#statements.setCursor.run(String(batch.revision));
      return rows;
    });
  }

  /** There was nothing to record up to this revision. Quiet when more has been recorded by now. */
  advance(revision: number): void {
    if (revision > this.cursor) this.record({ rows: [], gaps: [], revision });
  }

  /** Takes over what another archive has of revisions that are missing here; the cursor stays. */
  fill(rows: readonly Row[], gaps: readonly GapRow[]): void {
    this.#inTransaction(() => {
      for (const gap of gaps) this.#addGap(gap);
      for (const row of rows) this.#add(row);
    });
  }

  /** These revisions are complete by now: another archive had what was missing. */
  narrowGaps(filled: readonly Range[]): void {
    this.#inTransaction(() => {
      const before = gapRows(this.#db);
      this.#db.exec(`delete from gap where reason in ('compacted', 'before-archive')`);
      for (const gap of before)
        for (const range of without([gap], filled)) this.#addGap({ ...gap, ...range });
    });
  }

  /** Of versions that are there, those whose objects are not among these addresses (`kind/id`). */
  goneSince(present: readonly string[]): { kind: string; id: string; namespace: string }[] {
    const there = new Set(present);
    return this.#db
      .prepare(
        `select kind, id, namespace, state is null as is_removed, max(revision) from version group by kind, id`,
      )
      .all()
      .filter(({ kind, id, is_removed: isRemoved }) => {
        return isRemoved === 0 && !there.has(`${String(kind)}/${String(id)}`);
      })
      .map(({ kind, id, namespace }) => {
        return { kind: String(kind), id: String(id), namespace: String(namespace) };
      });
  }

  /** What has been recorded survives a crash of the machine when it returns. */
  flush(): void {
    this.#db.exec('pragma synchronous = full');
    try {
      // A commit in WAL mode syncs the whole log up to it.
      this.#inTransaction(() => this.#statements.setFlushed.run(String(this.cursor)));
    } finally {
      this.#db.exec('pragma synchronous = normal');
    }
  }

  /** Removes a slice of what has been kept for long enough; true: there may be more. */
  sweep(sweep: Sweep): boolean {
    const more = this.#inTransaction(() => removeSlice(this.#db, sweep));
    this.#db.exec(`pragma incremental_vacuum(${VACUUM_PAGES})`);
    return more;
  }

  /** Begins anew: the store has gone back to an older state, and what was recorded is of another history. */
  restart(): void {
    const { path, cluster } = this.#options;
    this.#db.close();
    if (path !== ':memory:') setFileAside(path);
    this.#db = openDatabase(path, cluster).db;
    this.#statements = prepare(this.#db);
  }

  /** Answers what archives are asked. */
  answer(message: ArchiveMessage): Json {
    return plain(this.#answer(message));
  }

  close(): void {
    this.#db.close();
  }

  #answer(message: ArchiveMessage): unknown {
    switch (message.kind) {
      case 'status':
        return status(this.#db);
      case 'export':
        return exportPage(this.#db, message);
      case 'page':
        return page(this.#db, message);
      case 'newest':
        return newest(this.#db, message);
      case 'version':
        return version(this.#db, message);
      case 'blame':
        return blame(this.#db, message);
      case 'traced':
        return traced(this.#db, message);
    }
  }

  #add(given: Row): Row {
    const row =
      given.namespace === '' ? { ...given, namespace: this.#lastNamespace(given) } : given;
    if (row.what === 'version') this.#addVersion(row);
    else this.#addEvent(row);
    return row;
  }

  #lastNamespace({ kind, id }: Row): string {
    const row = this.#statements.last.get(kind, id);
    return row === undefined ? namespaceOf(kind, id, null) : String(row['namespace']);
  }

  #addEvent(row: EventRow): void {
    this.#statements.addEvent.run(...eventValues(row));
  }

  #addVersion(row: VersionRow): void {
    const { kind, id, revision, namespace, schema, trace, atMs, isFirst } = row;
    const state = row.state === null ? null : JSON.stringify(row.state);
    const before = this.#statements.before.get(kind, id, revision);
    if (before !== undefined && before['state'] === state && before['schema'] === schema) return;
    const values = [kind, id, revision, namespace, schema, state, trace, atMs, isFirst ? 1 : 0];
    this.#statements.addVersion.run(...values);
  }

  #addGap({ from, to, count, reason, namespace, type }: GapRow): void {
    this.#statements.addGap.run(from, to, count, reason, namespace, type);
  }

  #inTransaction<T>(work: () => T): T {
    this.#db.exec('begin immediate');
    try {
      const result = work();
      this.#db.exec('commit');
      return result;
    } catch (error) {
      this.#db.exec('rollback');
      throw error;
    }
  }
}

type Statements = ReturnType<typeof prepare>;

function prepare(db: DatabaseSync) {
  const put = (name: string): StatementSync =>
    db.prepare(
      `insert into meta values ('${name}', ?) on conflict do update set value = excluded.value`,
    );
  return {
    setCursor: put('cursor'),
    setFlushed: put('flushed'),
    addEvent: db.prepare(
      'insert or ignore into event values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)',
    ),
    addVersion: db.prepare('insert or ignore into version values (?, ?, ?, ?, ?, ?, ?, ?, ?)'),
    addGap: db.prepare(
      `insert into gap values (?, ?, ?, ?, ?, ?)
         on conflict (reason, namespace, type) where reason in ('retention', 'bound') do update set
           from_revision = min(from_revision, excluded.from_revision),
           to_revision = max(to_revision, excluded.to_revision), count = max(count, excluded.count)`,
    ),
    before: db.prepare(
      `select state, schema from version where kind = ? and id = ? and revision < ?
         order by revision desc limit 1`,
    ),
    last: db.prepare(
      'select namespace from version where kind = ? and id = ? order by revision desc limit 1',
    ),
  };
}

function checkOrder({ rows, revision }: RecordBatch, cursor: number): void {
  let last = cursor + 1;
  for (const row of rows) {
    if (row.revision < last || row.revision > revision) {
      const text = `an archive at revision ${cursor} takes what follows in order up to ${revision}, found ${row.revision}`;
      throw new TroupeError('store/bad-value', text, { cursor, revision: row.revision });
    }
    last = row.revision;
  }
  if (revision >= cursor) return;
  const text = `an archive at revision ${cursor} does not go back to ${revision}`;
  throw new TroupeError('store/bad-value', text, { cursor, revision });
}

/** As it goes over a wire: what is undefined is left out. */
function plain(value: unknown): Json {
  return JSON.parse(JSON.stringify(value)) as Json;
}
