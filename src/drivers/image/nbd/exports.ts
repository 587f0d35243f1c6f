// Replicas of this machine that other nodes read block by block: one qemu-storage-daemon each, over TLS with the mesh's
// certificates, as long as somebody asks for it or is connected.
//
// X1  Only what is complete and verified is served; the file stays readable to who is connected when it is removed.
// X2  In the ledger, with its port, before it is started: a daemon that starts finds and keeps what its predecessor served.
import { createServer } from 'node:net';
import { once } from 'node:events';
import type { ReplicaReport } from '../../../../actors/blob/ports.ts';
import { TroupeError, reasonOf } from '../../../../actors/kernel/errors.ts';
import type { Clock } from '../../../../actors/kernel/clock.ts';
import type { Ledger } from '../../ledger.ts';
import type { Layout } from '../layout.ts';
import { isPathSafe } from '../layout.ts';
import { Turns } from '../../turns.ts';
import { exportWords, tagOf } from './options.ts';
import type { StorageDaemons } from './storage-daemons.ts';

export interface ExportPlace {
  readonly host: string;
  /** Inclusive. */
  readonly firstPort: number;
  readonly lastPort: number;
  /** What writeCredentials() wrote. */
  readonly tlsDir: string;
}

export interface ExportsOptions {
  readonly daemons: StorageDaemons;
  readonly ledger: Ledger;
  readonly layout: Layout;
  readonly clock: Clock;
  readonly report: (blobId: string) => Promise<ReplicaReport | null>;
  /** How long one that nobody is connected to is kept after it was asked for, ms. */
  readonly idleMs?: number;
}

const EXPORT_ENTRY = 'export';
// Who reads asks again every few seconds, until its own replica is there.
const IDLE_MS = 20_000;
const PORT_TRIES = 5;

/** Call start() first. */
export class Exports {
  readonly #options: ExportsOptions;
  readonly #turns = new Turns();
  readonly #askedAtMs = new Map<string, number>();
  #place: ExportPlace | undefined;

  constructor(options: ExportsOptions) {
    this.#options = options;
  }

  /** From then on others can read here. */
  connect(place: ExportPlace): void {
    this.#place = place;
  }

  /** Ends what runs and is not in the ledger. What is gets a new term. */
  async start(): Promise<void> {
    const { daemons } = this.#options;
    const known = new Set(this.#entries().map(({ name }) => nameOf(name)));
    const strays = daemons.running().filter((name) => isExport(name) && !known.has(name));
    for (const name of strays) await daemons.end(name);
  }

  /**
   * Where the bytes of the replica are served, from now for 20 s at least. Errors: `image/missing`,
   * `image/unreachable` (no mesh, no free port), `host/tool-missing`, `host/tool-failed`.
   */
  serve(blobId: string, trace: string): Promise<{ host: string; port: number }> {
    return this.#turns.run(blobId, async () => {
      const place = this.#place;
      if (place === undefined) throw unreachable('this daemon has no mesh');
      const report = isPathSafe(blobId) ? await this.#options.report(blobId) : null;
      if (report === null) {
        throw new TroupeError('image/missing', `there is no replica of blob ${blobId} here`);
      }
      const { daemons, layout, ledger, clock } = this.#options;
      this.#askedAtMs.set(blobId, clock.nowMs());
      const known = ledger.get(EXPORT_ENTRY, blobId)?.detail['port'];
      const isUp = daemons.pidOf(nameOf(blobId)) !== undefined;
      if (typeof known === 'number' && isUp) return { host: place.host, port: known };
      const path = layout.replicaImage(blobId, report.format);
      // Who was connected comes back to the same port.
      const port = await this.#open(blobId, { path, place, known: Number(known ?? 0) }, trace);
      return { host: place.host, port };
    });
  }

  /** Ends those that nobody uses (any more). */
  async tend(): Promise<void> {
    const { daemons, clock, idleMs = IDLE_MS } = this.#options;
    for (const { name: blobId } of this.#entries()) {
      await this.#turns.run(blobId, async () => {
        const now = clock.nowMs();
        const askedAtMs = this.#askedAtMs.get(blobId);
        if (askedAtMs === undefined) this.#askedAtMs.set(blobId, now);
        const isIdle = (askedAtMs ?? now) + idleMs <= now;
        if (isIdle && daemons.connections(nameOf(blobId)) === 0) await this.#end(blobId);
      });
    }
  }

  /** All of them, for a machine that serves nobody any more. */
  async endAll(): Promise<void> {
    for (const { name } of this.#entries()) await this.#turns.run(name, () => this.#end(name));
  }

  /** Waits for what is under way; what is served goes on. */
  close(): Promise<void> {
    return this.#turns.idle();
  }

  async #open(
    blobId: string,
    { path, place, known }: { path: string; place: ExportPlace; known: number },
    trace: string,
  ): Promise<number> {
    const { daemons, ledger } = this.#options;
    let reason = `ports ${place.firstPort} to ${place.lastPort} are all in use`;
    for (let attempt = 0; attempt < PORT_TRIES; attempt++) {
      const port = await this.#freePort(place, attempt === 0 ? known : 0);
      if (port === undefined) break;
      const whose = { owner: `blob/${blobId}`, epoch: 0, generation: 0, trace };
      ledger.record({ resource: EXPORT_ENTRY, name: blobId, ...whose, detail: { port } });
      try {
        const words = exportWords(path, { host: place.host, port }, place.tlsDir);
        await daemons.start(nameOf(blobId), words, trace);
        return port;
      } catch (error) {
        reason = reasonOf(error);
      }
    }
    ledger.forget(EXPORT_ENTRY, blobId);
    throw unreachable(`it cannot be served: ${reason}`);
  }

  async #freePort({ host, firstPort, lastPort }: ExportPlace, known: number) {
    const taken = new Set(this.#entries().map(({ detail }) => detail['port']));
    if (known > 0 && (await isFree(host, known))) return known;
    for (let port = firstPort; port <= lastPort; port++) {
      if (!taken.has(port) && (await isFree(host, port))) return port;
    }
    return undefined;
  }

  async #end(blobId: string): Promise<void> {
    const { daemons, ledger } = this.#options;
    await daemons.end(nameOf(blobId));
    ledger.forget(EXPORT_ENTRY, blobId);
    this.#askedAtMs.delete(blobId);
  }

  #entries() {
    return this.#options.ledger.list({ resource: EXPORT_ENTRY });
  }
}

function nameOf(blobId: string): string {
  return `${tagOf(blobId)}.export`;
}

function isExport(name: string): boolean {
  return name.endsWith('.export');
}

function unreachable(text: string): TroupeError {
  return new TroupeError('image/unreachable', text);
}

async function isFree(host: string, port: number): Promise<boolean> {
  const probe = createServer();
  try {
    const listening = once(probe, 'listening');
    probe.listen(port, host);
    await listening;
    return true;
  } catch {
    return false;
  } finally {
    probe.close();
  }
}
