// What a daemon is started with, and what all its parts are made from.
import type { Log, Random } from '../../actors/kernel/ports.ts';
import { type Keys } from '../../transport/store/keys.ts';
import type { Store } from '../../transport/store/store.ts';
import type { Config } from '../config.ts';
import type { EtcdAccess } from '../embedded/etcd-health.ts';
import type { Probed } from '../drivers/hypervisor/probe.ts';
import type { ReadModel } from '../read/read-model.ts';
import { type Host } from './host.ts';
import type { Metrics } from './metrics.ts';

export const VERSION = '0.1.0';

export interface DaemonOptions {
  readonly config: Config;
  readonly etcd: EtcdAccess;
  readonly libvirtSocket: string;
  /** How this machine runs guests. */
  readonly probed: Probed;
  readonly random: Random;
  readonly log: Log;
  readonly trace: string;
  /** Aborted when the daemon is to stop, also while it starts. */
  readonly signal: AbortSignal;
  /** The daemon cannot go on: stop the process. */
  readonly onFatal: (error: unknown) => void;
}

export interface Parts {
  readonly store: Store;
  readonly keys: Keys;
  readonly read: ReadModel;
  readonly host: Host;
  readonly metrics: Metrics;
  /** PEM. */
  readonly consoleAuthority: string;
}
