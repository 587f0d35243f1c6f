// What all machines of one simulated cluster share.
import type { Boundary } from '../../../actors/kernel/environment.ts';
import { clusterKeys, type Keys } from '../../../transport/store/keys.ts';
import { seededRandom } from '../../support/kernel.ts';
import type { Bug } from './bugs.ts';
import { SimMesh } from './mesh.ts';
import { SimServer, StoreView } from './store.ts';
import { Trace } from './trace.ts';
import { VirtualClock } from './virtual-clock.ts';

export const LEASE_TTL_MS = 10_000;

export interface SiteOptions {
  readonly seed: number;
  readonly bug: Bug | null;
  /** Prints what happens. */
  readonly print: ((line: string) => void) | null;
}

export class Site {
  readonly seed: number;
  readonly bug: Bug | null;
  readonly clock = new VirtualClock();
  readonly keys: Keys = clusterKeys('sim');
  readonly server: SimServer;
  readonly view: StoreView;
  readonly mesh: SimMesh;
  readonly trace: Trace;
  /** Asked at every boundary of a living daemon: what befalls its machine there. */
  atBoundary: (node: string, point: Boundary) => 'crash' | 'pause' | null = () => null;
  /** What a daemon reports as a bug of the kernel or a log line of level error. */
  onError: (node: string, message: string, error: unknown) => void = () => {};

  constructor({ seed, bug, print }: SiteOptions) {
    this.seed = seed;
    this.bug = bug;
    this.trace = new Trace(this.clock, print);
    this.server = new SimServer({ clock: this.clock });
    this.view = new StoreView(this.server, this.keys);
    this.server.listen((changes) => this.trace.changes(changes));
    this.mesh = new SimMesh(this.clock, this.numbers('mesh'));
  }

  /** As random(), for those who only draw numbers. */
  numbers(name: string): () => number {
    const random = this.random(name);
    return () => random.number();
  }

  /** A source of its own for everyone who draws: what one draws does not shift the others. */
  random(name: string): ReturnType<typeof seededRandom> {
    let mixed = this.seed >>> 0;
    for (const char of name) mixed = Math.imul(mixed ^ char.charCodeAt(0), 0x01000193) >>> 0;
    return seededRandom(mixed);
  }
}
