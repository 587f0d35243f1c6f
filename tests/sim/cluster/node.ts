// One simulated machine and whoever runs on it: domains, segments, replicas and the ledger outlive its daemons.
import { ArchiveFile } from '../../../src/archive/archive-file.ts';
import { SimMachine } from '../../support/sim-machine.ts';
import { SimDaemon, type Host } from './daemon.ts';
import type { Site } from './site.ts';
import { LocalClock } from './virtual-clock.ts';

/** Where simulated images come from: so many that few artifacts have the same address, and some do. */
export const URLS = Array.from({ length: 12 }, (_, n) => `http://images.test/${n}`);
/** Two addresses each have the same bytes. */
const contentOf = (n: number) => `image ${Math.floor(n / 2)}`;
const CPUS = 8;
const GIB = 2 ** 30;
const MIB = 2 ** 20;

export class SimNode implements Host {
  readonly name: string;
  readonly installation: string;
  readonly vtep: string;
  readonly cpus: number;
  readonly machine: SimMachine;
  readonly archive = new ArchiveFile({ path: ':memory:', cluster: 'sim' });
  readonly clock: LocalClock;
  /** Domains whose loss is nobody's fault but the simulation's. */
  readonly lossExpected = new Set<string>();
  readonly #site: Site;
  #daemon: SimDaemon | null = null;
  /** It is not started again by itself. */
  isOut = false;
  #boots = 0;

  constructor(site: Site, index: number, cpus = CPUS) {
    this.#site = site;
    this.cpus = cpus;
    this.name = `n${index}`;
    this.installation = `installation of ${this.name}`;
    this.vtep = `192.0.2.${index}`;
    this.clock = new LocalClock(site.clock);
    const random = site.numbers(`machine ${this.name}`);
    this.machine = new SimMachine({ clock: this.clock, random });
    const image = { sizeBytes: 64 * MIB, virtualSizeBytes: GIB, format: 'qcow2' } as const;
    const { web } = this.machine.images;
    for (const [n, url] of URLS.entries()) web.set(url, { ...image, content: contentOf(n) });
  }

  /** The daemon that runs here, if one does. */
  get daemon(): SimDaemon | null {
    return this.#daemon;
  }

  get isServing(): boolean {
    return this.#daemon?.isServing ?? false;
  }

  /** Starts a daemon unless one runs; one that cannot start gives up what it has taken, and ends. */
  boot(): void {
    if (this.#daemon !== null || this.isOut) return;
    const { trace } = this.#site;
    const daemon: SimDaemon = new SimDaemon(this.#site, this, ++this.#boots, (reason) => {
      if (this.#daemon === daemon) this.kill(reason);
    });
    this.#daemon = daemon;
    trace.note(`${daemon.bootId} starts`);
    daemon.start().then(
      () => trace.note(`${daemon.bootId} serves`),
      (error: unknown) => {
        if (this.#daemon !== daemon) return;
        trace.note(`${daemon.bootId} cannot start: ${String(error)}`);
        this.#end(daemon);
      },
    );
  }

  kill(reason: string): void {
    const daemon = this.#daemon;
    if (daemon === null) return;
    this.#daemon = null;
    this.#site.trace.note(`${daemon.bootId} dies: ${reason}`);
    daemon.kill();
  }

  /** Ends the daemon in good order; it may die on the way. */
  stop(): void {
    const daemon = this.#daemon;
    if (daemon === null || !daemon.isServing) return;
    this.#site.trace.note(`${daemon.bootId} stops`);
    this.#end(daemon);
  }

  #end(daemon: SimDaemon): void {
    const { trace } = this.#site;
    daemon.stop().then(
      () => {
        if (this.#daemon === daemon) this.#daemon = null;
        trace.note(`${daemon.bootId} has stopped`);
      },
      (error: unknown) => {
        if (this.#daemon === daemon) this.kill(`could not stop: ${String(error)}`);
      },
    );
  }
}
