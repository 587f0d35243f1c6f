// The machine's own durable list of what Troupe is about to create, or has created, on this host.
//
// L1  Recorded before created, forgotten after removed: whatever exists is in the ledger, whatever a
//     crash left behind is found through it.
// L2  Every entry says whose it is (owner address), under which epoch and generation it was last
//     wanted, and by which request (trace).
// L3  fence() remembers the highest (epoch, generation) seen per owner across restarts and refuses
//     older ones: the lock is checked by the one who acts. Whoever drops one (src/daemon/fence-sweep.ts)
//     has made sure that none older can come.
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { TroupeError } from '../../actors/kernel/errors.ts';

/** What is recorded: `resource` is the sort of thing (bridge, tap, netns, domain, file …), `name` its name in the kernel's or the tool's own listing. */
export interface LedgerEntry {
  readonly resource: string;
  readonly name: string;
  /** Address of the object it belongs to: `network/<id>`, `instance/<id>` … */
  readonly owner: string;
  readonly epoch: number;
  readonly generation: number;
  readonly trace: string;
  /** Whatever its driver needs to remove it again. */
  readonly detail: Readonly<Record<string, string | number | boolean>>;
  readonly recordedAtMs: number;
}

export interface Fence {
  readonly epoch: number;
  readonly generation: number;
}

export interface OwnedFence extends Fence {
  readonly owner: string;
}

const SCHEMA = `
  create table if not exists entry (
    resource text not null, name text not null, owner text not null,
    epoch integer not null, generation integer not null, trace text not null,
    detail text not null, recorded_at_ms integer not null,
    primary key (resource, name)) strict;
  create index if not exists entry_owner on entry (owner);
  create table if not exists fence (
    owner text primary key, epoch integer not null, generation integer not null) strict;
`;

const VERSION = 1;
const SQLITE_FULL = 13;
const SQLITE_BUSY = 5;

/**
 * Opens (and creates) the ledger file. Close it on shutdown; a second opener waits up to 5 s per write. Errors of all
 * methods: `host/disk-full`, `host/locked` when another process keeps it locked, `host/tool-failed` when the file is no ledger.
 */
export class Ledger {
  readonly #path: string;
  readonly #db: DatabaseSync;
  readonly #put: StatementSync;
  readonly #drop: StatementSync;
  readonly #get: StatementSync;

  constructor(path: string) {
    this.#path = path;
    this.#db = this.#guard(() => open(path));
    this.#put = this.#db.prepare(
      `insert into entry values (?, ?, ?, ?, ?, ?, ?, ?)
       on conflict (resource, name) do update set owner = excluded.owner, epoch = excluded.epoch,
         generation = excluded.generation, trace = excluded.trace, detail = excluded.detail`,
    );
    this.#get = this.#db.prepare('select * from entry where resource = ? and name = ?');
    this.#drop = this.#db.prepare('delete from entry where resource = ? and name = ?');
  }

  /** Durable when it returns. Call it before creating the thing. */
  record(entry: Omit<LedgerEntry, 'recordedAtMs'>): void {
    const { resource, name, owner, epoch, generation, trace } = entry;
    const detail = JSON.stringify(entry.detail);
    const values = [resource, name, owner, epoch, generation, trace, detail, Date.now()];
    this.#guard(() => this.#put.run(...values));
  }

  /** Call it after the thing is gone. Quiet when there is no such entry. */
  forget(resource: string, name: string): void {
    this.#guard(() => this.#drop.run(resource, name));
  }

  get(resource: string, name: string): LedgerEntry | undefined {
    const row = this.#guard(() => this.#get.get(resource, name));
    return row === undefined ? undefined : toEntry(row);
  }

  list(filter: { readonly resource?: string; readonly owner?: string } = {}): LedgerEntry[] {
    const query =
      'select * from entry where (?1 is null or resource = ?1) and (?2 is null or owner = ?2) order by resource, name';
    const values = [filter.resource ?? null, filter.owner ?? null];
    return this.#guard(() => this.#db.prepare(query).all(...values)).map(toEntry);
  }

  /** Accepts (and remembers) a fence that is not older than the last one; throws `executor/stale-epoch` otherwise. */
  fence(owner: string, fence: Fence): void {
    const last = this.lastFence(owner);
    if (last !== undefined && isSame(fence, last)) return;
    // One statement compares and writes: another process may have moved the fence since it was read.
    const { changes } = this.#guard(() =>
      this.#db
        .prepare(
          `insert into fence values (?, ?, ?) on conflict (owner) do
           update set epoch = excluded.epoch, generation = excluded.generation
           where (fence.epoch, fence.generation) <= (excluded.epoch, excluded.generation)`,
        )
        .run(owner, fence.epoch, fence.generation),
    );
    if (changes === 0) throw stale(owner, fence, this.lastFence(owner) ?? fence);
  }

  lastFence(owner: string): Fence | undefined {
    const query = 'select epoch, generation from fence where owner = ?';
    const row = this.#guard(() => this.#db.prepare(query).get(owner));
    if (row === undefined) return undefined;
    return { epoch: Number(row['epoch']), generation: Number(row['generation']) };
  }

  /** Fences of owners that have no entry. */
  idleFences(): OwnedFence[] {
    const query = `select * from fence where owner not in (select owner from entry) order by owner`;
    return this.#guard(() => this.#db.prepare(query).all()).map((row) => ({
      owner: String(row['owner']),
      epoch: Number(row['epoch']),
      generation: Number(row['generation']),
    }));
  }

  /** Drops the fence of an owner that is gone for good; false when it has moved or its owner has an entry. */
  forgetFence({ owner, epoch, generation }: OwnedFence): boolean {
    const statement = `delete from fence where owner = ? and epoch = ? and generation = ?
      and owner not in (select owner from entry)`;
    const values = [owner, epoch, generation];
    return this.#guard(() => this.#db.prepare(statement).run(...values)).changes === 1;
  }

  close(): void {
    this.#db.close();
  }

  #guard<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw explained(error, this.#path);
    }
  }
}

function open(path: string): DatabaseSync {
  const db = new DatabaseSync(path);
  db.exec('pragma busy_timeout = 5000; pragma journal_mode = wal; pragma synchronous = full;');
  const version = Number(db.prepare('pragma user_version').get()?.['user_version']);
  if (version > VERSION) {
    db.close();
    throw new Error(`it has version ${version}, this program knows ${VERSION}; run the newer one`);
  }
  db.exec(`${SCHEMA} pragma user_version = ${VERSION};`);
  return db;
}

function explained(error: unknown, path: string): TroupeError {
  const reason = error instanceof Error ? error.message : String(error);
  const errcode = error instanceof Error && 'errcode' in error ? Number(error.errcode) : 0;
  // The low byte is the kind of error, the rest says more about it.
  const kind = errcode & 0xff;
  const message = `the ledger ${path}: ${reason}`;
  if (kind === SQLITE_FULL) {
    const wayOut = 'nothing is created that cannot be recorded; free space on that disk';
    return new TroupeError('host/disk-full', `${message}; ${wayOut}`, { path }, error);
  }
  const code = kind === SQLITE_BUSY ? 'host/locked' : 'host/tool-failed';
  return new TroupeError(code, message, { path }, error);
}

function stale(owner: string, { epoch, generation }: Fence, last: Fence): TroupeError {
  return new TroupeError(
    'executor/stale-epoch',
    `${owner}: epoch ${epoch} generation ${generation} is older than epoch ${last.epoch} generation ${last.generation}, which this machine has already seen`,
    { owner, epoch, generation },
  );
}

function isSame(a: Fence, b: Fence): boolean {
  return a.epoch === b.epoch && a.generation === b.generation;
}

function toEntry(row: Record<string, unknown>): LedgerEntry {
  return {
    resource: String(row['resource']),
    name: String(row['name']),
    owner: String(row['owner']),
    epoch: Number(row['epoch']),
    generation: Number(row['generation']),
    trace: String(row['trace']),
    detail: JSON.parse(String(row['detail'])) as LedgerEntry['detail'],
    recordedAtMs: Number(row['recorded_at_ms']),
  };
}
