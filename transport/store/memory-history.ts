// The versions of every key by revision: what etcd calls its MVCC store. Pure bookkeeping, no time,
// no leases, no clients.
//
// H1  A revision is a list of changes; reading at a revision shows exactly the changes up to it.
// H2  compact(r) forgets what cannot be read at r or later; reading below r, and watching from r or
//     below, is then refused. (etcd would take a watch from r, less the deletions of r; see W2.)
import { TroupeError } from '../../actors/kernel/errors.ts';
import { lowerBound } from './key-order.ts';
import type { Change, Entry, Page, RangeRequest } from './store.ts';

interface Version {
  readonly revision: number;
  readonly entry: Entry | null;
}

const NO_BYTES = new Uint8Array(0);

export class MemoryHistory {
  /** Every key that has a version, sorted. */
  readonly #keys: string[] = [];
  readonly #versions = new Map<string, Version[]>();
  /** Changes by revision, from the compacted one on. */
  #log = new Map<number, readonly Change[]>();
  #revision = 1;
  #compacted = 0;

  get revision(): number {
    return this.#revision;
  }

  /** The entry now; null when absent. */
  latest(key: string): Entry | null {
    return this.#versions.get(key)?.at(-1)?.entry ?? null;
  }

  /** Keys that exist now and start with `prefix`, sorted. */
  keysUnder(prefix: string): string[] {
    return [...this.#keysFrom(prefix, prefix)].filter((key) => this.latest(key) !== null);
  }

  /** Takes one new revision for the changes, which carry that number already. */
  append(changes: readonly Change[]): void {
    this.#revision++;
    for (const change of changes) {
      const version = {
        revision: this.#revision,
        entry: change.kind === 'put' ? change.entry : null,
      };
      const versions = this.#versions.get(change.key);
      if (versions !== undefined) versions.push(version);
      else {
        this.#versions.set(change.key, [version]);
        this.#keys.splice(lowerBound(this.#keys, change.key), 0, change.key);
      }
    }
    this.#log.set(this.#revision, changes);
  }

  /** Errors: store/compacted for a revision that is forgotten or has not come. */
  range(request: RangeRequest): Page {
    const at = request.revision === undefined || request.revision === 0 ? null : request.revision;
    if (at !== null) this.#checkReadable(at);
    const limit = request.limit ?? Infinity;
    const entries: Entry[] = [];
    const from = request.after === undefined ? request.prefix : `${request.after}\0`;
    for (const key of this.#keysFrom(from, request.prefix)) {
      const entry = at === null ? this.latest(key) : this.#entryAt(key, at);
      if (entry === null) continue;
      if (entries.length === limit) return { entries, revision: this.#revision, more: true };
      entries.push(request.keysOnly === true ? { ...entry, value: NO_BYTES } : entry);
    }
    return { entries, revision: this.#revision, more: false };
  }

  /** The changes from `revision` on under `prefix`, one list for each revision that has any; or the error. */
  since(revision: number, prefix: string): Change[][] {
    if (revision <= this.#compacted) throw compactedError(this.#compacted);
    const found: Change[][] = [];
    for (let at = revision; at <= this.#revision; at++) {
      const changes = (this.#log.get(at) ?? []).filter(({ key }) => key.startsWith(prefix));
      if (changes.length > 0) found.push(changes);
    }
    return found;
  }

  /** Errors: store/compacted when that is done already or the revision has not come. */
  compact(revision: number): void {
    if (revision <= this.#compacted || revision > this.#revision)
      throw compactedError(this.#compacted);
    for (let at = this.#compacted; at <= revision; at++) this.#log.delete(at);
    this.#compacted = revision;
    for (const [key, versions] of this.#versions) this.#forget(key, versions, revision);
  }

  *#keysFrom(from: string, prefix: string): Generator<string> {
    for (let i = lowerBound(this.#keys, from); i < this.#keys.length; i++) {
      const key = this.#keys[i];
      if (key === undefined || !key.startsWith(prefix)) return;
      yield key;
    }
  }

  #entryAt(key: string, revision: number): Entry | null {
    return this.#versions.get(key)?.findLast((one) => one.revision <= revision)?.entry ?? null;
  }

  #checkReadable(revision: number): void {
    if (revision < this.#compacted) throw compactedError(this.#compacted);
    if (revision <= this.#revision) return;
    const message = 'the store is another one or went back to an older state; list it again';
    throw new TroupeError('store/compacted', message, { replaced: true });
  }

  #forget(key: string, versions: readonly Version[], revision: number): void {
    const base = versions.findLastIndex((one) => one.revision <= revision);
    if (base < 0) return;
    // The version that is current at `revision` stays readable, unless it is a deletion.
    const kept = versions.slice(versions[base]?.entry === null ? base + 1 : base);
    if (kept.length > 0) return void this.#versions.set(key, kept);
    this.#versions.delete(key);
    this.#keys.splice(lowerBound(this.#keys, key), 1);
  }
}

function compactedError(compacted: number): TroupeError {
  const message = `the store was compacted at revision ${compacted}; list it again`;
  return new TroupeError('store/compacted', message, { compacted, replaced: false });
}
