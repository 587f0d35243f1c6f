// The machine's own durable list of what Troupe is about to create, or has created, on this host.
//
// L1  Recorded before created, forgotten after removed: whatever exists is in the ledger, whatever a
//     crash left behind is found through it.
// L2  Every entry says whose it is (owner address), under which epoch and generation it was last
//     wanted, and by which request (trace).
// L3  fence() remembers the highest (epoch, generation) seen per owner across restarts and refuses
//     older ones: the lock is checked by the one who acts.
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

/** Opens (and creates) the ledger file. Close it on shutdown; a second opener waits up to 5 s per write. */
export class Ledger {
  readonly #db: DatabaseSync;
  readonly #put: StatementSync;
  readonly #drop: StatementSync;
  readonly #get: StatementSync;

  constructor(path: string) {
    this.#db = new DatabaseSync(path);
    this.#db.exec(
      'pragma journal_mode = wal; pragma synchronous = full; pragma busy_timeout = 5000;',
    );
    this.#db.exec(SCHEMA);
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
    const { resource, name, owner, epoch, generation, trace, detail } = entry;
    this.#put.run(
      resource,
      name,
      owner,
      epoch,
      generation,
      trace,
      JSON.stringify(detail),
      Date.now(),
    );
  }

  /** Call it after the thing is gone. Quiet when there is no such entry. */
  forget(resource: string, name: string): void {
    this.#drop.run(resource, name);
  }

  get(resource: string, name: string): LedgerEntry | undefined {
    const row = this.#get.get(resource, name);
    return row === undefined ? undefined : toEntry(row);
  }

  list(filter: { readonly resource?: string; readonly owner?: string } = {}): LedgerEntry[] {
    const rows = this.#db
      .prepare(
        'select * from entry where (?1 is null or resource = ?1) and (?2 is null or owner = ?2) order by resource, name',
      )
      .all(filter.resource ?? null, filter.owner ?? null);
    return rows.map(toEntry);
  }

  /** Accepts (and remembers) a fence that is not older than the last one; throws `executor/stale-epoch` otherwise. */
  fence(owner: string, fence: Fence): void {
    const last = this.lastFence(owner);
    if (last !== undefined && isOlder(fence, last)) {
      throw new TroupeError(
        'executor/stale-epoch',
        `${owner}: epoch ${fence.epoch} generation ${fence.generation} is older than epoch ${last.epoch} generation ${last.generation}, which this machine has already seen`,
        { owner, epoch: fence.epoch, generation: fence.generation },
      );
    }
    this.#db
      .prepare(
        'insert into fence values (?, ?, ?) on conflict (owner) do update set epoch = excluded.epoch, generation = excluded.generation',
      )
      .run(owner, fence.epoch, fence.generation);
  }

  lastFence(owner: string): Fence | undefined {
    const row = this.#db.prepare('select epoch, generation from fence where owner = ?').get(owner);
    if (row === undefined) return undefined;
    return { epoch: Number(row['epoch']), generation: Number(row['generation']) };
  }

  /** Drops the fence of an owner that is gone for good, so that the table stays small. */
  forgetFence(owner: string): void {
    this.#db.prepare('delete from fence where owner = ?').run(owner);
  }

  close(): void {
    this.#db.close();
  }
}

function isOlder(a: Fence, b: Fence): boolean {
  return a.epoch < b.epoch || (a.epoch === b.epoch && a.generation < b.generation);
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
