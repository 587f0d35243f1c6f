// An archive's SQLite file: opened and checked, or set aside and made anew.
//
// D1  A file that is damaged, of an unknown version or of another cluster is never used and never deleted: it is renamed, and
//     the archive begins again with an empty one, which is filled from another archive.
// D2  WAL: readers see whole batches. A commit is safe against a crash of the process at once, against one of the
//     machine after flush(); the cursor is in the same file, so what is lost is recorded again.
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { reasonOf } from '../../actors/kernel/errors.ts';

const VERSION = 1;

const SCHEMA = `
  create table if not exists meta (name text primary key, value text not null) strict;
  create table if not exists event (
    kind text not null, id text not null, revision integer not null, event text not null,
    namespace text not null, type text not null, at_ms real not null, node text not null,
    trace text not null, message text not null, duration_ms real, extra text,
    own integer not null default 0,
    primary key (kind, id, revision, event)) strict, without rowid;
  create index if not exists event_revision on event (revision) where own = 0;
  create index if not exists event_namespace on event (namespace, revision) where own = 0;
  create index if not exists event_age on event (type, at_ms);
  create index if not exists event_trace on event (trace, revision);
  create table if not exists version (
    kind text not null, id text not null, revision integer not null, namespace text not null,
    schema integer not null, state text, trace text not null, at_ms real not null,
    is_first integer not null, unique (kind, id, revision)) strict;
  create index if not exists version_revision on version (revision);
  create index if not exists version_age on version (at_ms);
  create table if not exists gap (
    from_revision integer not null, to_revision integer not null, count integer,
    reason text not null, namespace text not null, type text not null) strict;
  create unique index if not exists gap_pruned on gap (reason, namespace, type)
    where reason in ('retention', 'bound');
`;

export interface Opened {
  readonly db: DatabaseSync;
  /** Why the file that was there has been set aside; null: there was none, or it is in use. */
  readonly setAside: string | null;
}

/** Opens the file, which is then this process's alone. `:memory:` for tests. Errors: of the file system. */
export function openDatabase(path: string, cluster: string): Opened {
  if (path === ':memory:') return { db: prepare(path, cluster), setAside: null };
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  if (!existsSync(path)) {
    // What belongs to a file that is gone would be taken for the new one's.
    for (const tail of ['-wal', '-shm']) rmSync(`${path}${tail}`, { force: true });
    return { db: prepare(path, cluster), setAside: null };
  }
  try {
    return { db: prepare(path, cluster), setAside: null };
  } catch (error) {
    setFileAside(path);
    return { db: prepare(path, cluster), setAside: reasonOf(error) };
  }
}

/** Renames the file, so that the next opening makes a new one. Only the last that was set aside is kept. */
export function setFileAside(path: string): void {
  for (const tail of ['', '-wal', '-shm']) {
    rmSync(`${path}.aside${tail}`, { force: true });
    if (existsSync(`${path}${tail}`)) renameSync(`${path}${tail}`, `${path}.aside${tail}`);
  }
}

function prepare(path: string, cluster: string): DatabaseSync {
  const db = new DatabaseSync(path);
  try {
    // Takes effect in a new file only.
    db.exec('pragma auto_vacuum = incremental');
    db.exec('pragma journal_mode = wal; pragma synchronous = normal');
    check(db);
    db.exec(SCHEMA);
    db.exec(`pragma user_version = ${VERSION}`);
    const known = db
      .prepare(`insert into meta values ('cluster', ?) on conflict do nothing`)
      .run(cluster);
    if (known.changes === 0) checkCluster(db, cluster);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

function check(db: DatabaseSync): void {
  const version = Number(db.prepare('pragma user_version').get()?.['user_version']);
  if (version > VERSION) throw new Error(`it has version ${version}, expected ${VERSION} at most`);
  const [found] = db.prepare('pragma quick_check(1)').all();
  const verdict = String(found?.['quick_check']);
  if (verdict !== 'ok') throw new Error(`its pages are damaged: ${verdict}`);
}

function checkCluster(db: DatabaseSync, cluster: string): void {
  const found = db.prepare(`select value from meta where name = 'cluster'`).get()?.['value'];
  if (found !== cluster)
    throw new Error(`it is of the cluster ${String(found)}, expected ${cluster}`);
}
