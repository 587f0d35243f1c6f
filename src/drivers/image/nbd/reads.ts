// Bases of disks that are read before their replica is here. Two qemu-storage-daemons for each blob:
//
//   QEMU ── <tag>.front ── <tag>.back.N ──TLS── the export of a node that holds a replica (exports.ts)
//                                       └────── or the file of our own replica, once that is there
//
// The back is replaced whenever it is to read from elsewhere; the front never is: it waits while nobody is behind it and
// asks again what was not answered, so that the guest sees a pause and no error. (QEMU could wait itself; libvirt has a
// word for that from 9.1 on only.)
//
// R1  In the ledger before a process is started, out of it after the last has ended. They outlive the daemon: the guest
//     reads on while it is restarted.
// R2  Kept up as long as a disk is recorded as reading lazily (disks.ts), whether its guest runs or not.
// R3  A new back serves before the old one ends.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { ReplicaReport } from '../../../../actors/blob/ports.ts';
import { TroupeError, reasonOf } from '../../../../actors/kernel/errors.ts';
import type { Clock } from '../../../../actors/kernel/clock.ts';
import type { Log } from '../../../../actors/kernel/ports.ts';
import type { Ledger, LedgerEntry } from '../../ledger.ts';
import type { Layout } from '../layout.ts';
import { DISK } from '../replicas.ts';
import { Turns } from '../../turns.ts';
import { baseUri, frontWords, readerWords, tagOf, type ByteSource } from './options.ts';
import type { StorageDaemons } from './storage-daemons.ts';

/** How the nodes that hold a blob are found; the daemon joins it with the mesh. */
export interface Holders {
  /** What the blob is, and who holds it, the nearest to be asked first. Error: `image/missing` when nothing is known of it. */
  of(blobId: string, trace: string): Promise<{ content: ReplicaReport; nodes: readonly string[] }>;
  /** Has the node serve its replica for the next 20 s; resolves to where. */
  open(node: string, blobId: string, trace: string): Promise<{ host: string; port: number }>;
}

export interface ReadsOptions {
  readonly daemons: StorageDaemons;
  readonly ledger: Ledger;
  readonly layout: Layout;
  readonly log: Log;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly report: (blobId: string) => Promise<ReplicaReport | null>;
}

export interface LazyBase {
  /** For an overlay's header; what is served has format raw. */
  readonly uri: string;
  readonly virtualSizeBytes: number;
}

/** In the detail of a disk's entry: its header names the socket of a reader. */
export const LAZILY = { reads: 'lazily' } as const;
const READER = 'reader';
const PROMISED_MS = 60_000;
const OWN = 'own replica';
/** What is tended; `number` is of the back. */
interface Reader {
  readonly blobId: string;
  readonly number: number;
  /** The node it reads from, or OWN. */
  readonly from: string;
  readonly at: string;
}

/** Call start() first. */
export class Reads {
  readonly #options: ReadsOptions;
  readonly #turns = new Turns();
  /** Until when those are kept that a disk is about to need, ms since the epoch. */
  readonly #promised = new Map<string, number>();
  /** Those that could not be kept up when they were last looked at. */
  readonly #troubled = new Set<string>();
  #holders: { readonly holders: Holders; readonly tlsDir: string } | undefined;

  constructor(options: ReadsOptions) {
    this.#options = options;
  }

  /** From then on bases can be read from other nodes. */
  connect(holders: Holders, tlsDir: string): void {
    this.#holders = { holders, tlsDir };
  }

  get isConnected(): boolean {
    return this.#holders !== undefined;
  }

  uriOf(blobId: string): string {
    return baseUri(this.#socket(`${tagOf(blobId)}.front`));
  }

  /** Ends what runs and is not in the ledger. */
  async start(): Promise<void> {
    const { daemons } = this.#options;
    const known = new Set(this.#entries().map(({ name }) => tagOf(name)));
    const strays = daemons.running().filter((name) => isReader(name) && !known.has(tagIn(name)));
    for (const name of strays) await daemons.end(name);
  }

  /**
   * Has the blob's disk served here; record first which disk needs it (R2). Errors: `image/missing`, `image/refused` (no disk
   * image), `image/unreachable` when no node serves it, with the reason of each.
   */
  ensure(blobId: string, trace: string): Promise<LazyBase> {
    return this.#turns.run(blobId, async () => {
      const { content } = await this.#requireHolders().holders.of(blobId, trace);
      if (content.format !== 'qcow2') {
        const text = `blob ${blobId} is no disk image and cannot be read through; wait for its copy`;
        throw new TroupeError('image/refused', text);
      }
      await this.#keepUp(blobId, trace);
      return { uri: this.uriOf(blobId), virtualSizeBytes: content.virtualSizeBytes };
    });
  }

  /** The same ahead of a disk that is to come: kept for a minute without one, or until our replica is there. */
  announce(blobId: string, trace: string): Promise<LazyBase> {
    this.#promised.set(blobId, this.#options.clock.nowMs() + PROMISED_MS);
    return this.ensure(blobId, trace);
  }

  /** Moves readers to where they ought to read now, and ends those that no disk needs. */
  async tend(trace: string): Promise<void> {
    for (const { name: blobId } of this.#entries()) {
      await this.#turns.run(blobId, async () => {
        try {
          if (await this.#isNeeded(blobId)) await this.#keepUp(blobId, trace);
          else await this.#end(blobId);
          this.#troubled.delete(blobId);
        } catch (error) {
          const { log } = this.#options;
          if (!this.#troubled.has(blobId))
            log('warn', 'a base cannot be read now', { trace, kind: 'blob', id: blobId, error });
          this.#troubled.add(blobId);
        }
      });
    }
  }

  /** All of them: the guests of this machine have ended. */
  async endAll(): Promise<void> {
    for (const { name } of this.#entries()) await this.#turns.run(name, () => this.#end(name));
  }

  /** Waits for what is under way; what is served goes on. */
  close(): Promise<void> {
    return this.#turns.idle();
  }

  async #keepUp(blobId: string, trace: string): Promise<void> {
    const { daemons } = this.#options;
    await this.#keepBack(blobId, trace);
    const front = `${tagOf(blobId)}.front`;
    if (daemons.pidOf(front) !== undefined) return;
    const back = this.#socket(`${tagOf(blobId)}.back`);
    await daemons.start(front, frontWords(back, this.#socket(front)), trace);
  }

  async #keepBack(blobId: string, trace: string): Promise<void> {
    const report = await this.#options.report(blobId);
    const reader = this.#reader(blobId);
    if (report === null) return await this.#readFromPeer(blobId, reader, trace);
    const path = this.#options.layout.replicaImage(blobId, report.format);
    const own = { blobId, number: reader.number + 1, from: OWN, at: path };
    if (reader.from === OWN && this.#isUp(reader)) return;
    await this.#switch(own, { kind: 'file', path }, trace);
  }

  /** From whom it reads already, if that one still serves it; else from the first that does. */
  async #readFromPeer(blobId: string, reader: Reader, trace: string): Promise<void> {
    const reasons: string[] = [];
    const tried = new Set<string>();
    const isBrought = async (node: string) => {
      if (tried.has(node)) return false;
      tried.add(node);
      try {
        await this.#readFrom(node, reader, trace);
        return true;
      } catch (error) {
        reasons.push(`${node}: ${reasonOf(error)}`);
        return false;
      }
    };
    const { holders } = this.#requireHolders();
    if (reader.from !== '' && reader.from !== OWN && (await isBrought(reader.from))) return;
    for (const node of (await holders.of(blobId, trace)).nodes) {
      if (await isBrought(node)) return;
    }
    const why = reasons.length === 0 ? 'no node has a replica' : reasons.join('; ');
    throw new TroupeError('image/unreachable', `blob ${blobId} cannot be read: ${why}`);
  }

  async #readFrom(node: string, reader: Reader, trace: string): Promise<void> {
    const { holders } = this.#requireHolders();
    const { blobId, number } = reader;
    const { host, port } = await holders.open(node, blobId, trace);
    const at = `${host}:${port}`;
    if (reader.from === node && reader.at === at && this.#isUp(reader)) return;
    const next = { blobId, number: number + 1, from: node, at };
    await this.#switch(next, { kind: 'peer', host, port }, trace);
  }

  async #switch(next: Reader, source: ByteSource, trace: string): Promise<void> {
    const { daemons, log } = this.#options;
    const before = this.#reader(next.blobId);
    const tag = tagOf(next.blobId);
    this.#record(next, trace);
    const socket = this.#socket(`${tag}.back`);
    try {
      await daemons.start(backName(next), readerWords(source, socket, this.#tlsDir()), trace);
    } catch (error) {
      // The old one may still be what serves.
      await daemons.end(backName(next));
      this.#record({ ...before, number: next.number }, trace);
      throw error;
    }
    const others = daemons.running().filter((name) => name.startsWith(`${tag}.back.`));
    for (const name of others) if (name !== backName(next)) await daemons.end(name);
    const fields = { trace, kind: 'blob', id: next.blobId, from: next.from };
    log('info', 'the base of disks that read through is read from elsewhere now', fields);
  }

  async #end(blobId: string): Promise<void> {
    const { daemons, ledger } = this.#options;
    const tag = tagOf(blobId);
    for (const name of daemons.running()) {
      if (isReader(name) && tagIn(name) === tag) await daemons.end(name);
    }
    for (const end of ['front', 'back']) rmSync(this.#socket(`${tag}.${end}`), { force: true });
    ledger.forget(READER, blobId);
  }

  async #isNeeded(blobId: string): Promise<boolean> {
    const { ledger, clock, report } = this.#options;
    const isPromised = (this.#promised.get(blobId) ?? 0) > clock.nowMs();
    // A disk that is still to come will be made of our replica.
    if (isPromised && (await report(blobId)) === null) return true;
    this.#promised.delete(blobId);
    return ledger
      .list({ resource: DISK })
      .some(({ detail }) => detail['base'] === blobId && detail['reads'] === LAZILY.reads);
  }

  #isUp(reader: Reader): boolean {
    return this.#options.daemons.pidOf(backName(reader)) !== undefined;
  }

  #reader(blobId: string): Reader {
    const detail: LedgerEntry['detail'] = this.#options.ledger.get(READER, blobId)?.detail ?? {};
    const { number = 0, from = '', at = '' } = detail;
    return { blobId, number: Number(number), from: String(from), at: String(at) };
  }

  #record({ blobId, number, from, at }: Reader, trace: string): void {
    const whose = { owner: `blob/${blobId}`, epoch: 0, generation: 0, trace };
    const detail = { number, from, at };
    this.#options.ledger.record({ resource: READER, name: blobId, ...whose, detail });
  }

  #entries(): LedgerEntry[] {
    return this.#options.ledger.list({ resource: READER });
  }

  #socket(name: string): string {
    return join(this.#options.daemons.dir, `${name}.sock`);
  }

  #tlsDir(): string {
    return this.#holders?.tlsDir ?? '';
  }

  #requireHolders() {
    if (this.#holders !== undefined) return this.#holders;
    throw new TroupeError('image/unreachable', 'this daemon has no mesh, nor the replica');
  }
}

function backName({ blobId, number }: Reader): string {
  return `${tagOf(blobId)}.back.${number}`;
}

function isReader(name: string): boolean {
  return /\.(front|back\.\d+)$/.test(name);
}

function tagIn(name: string): string {
  return name.slice(0, name.indexOf('.'));
}
