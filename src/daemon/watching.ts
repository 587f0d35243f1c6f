// What a daemon does beside its actors: looks after its machine and at the others, and measures.
import { systemClock } from '../../actors/kernel/clock.ts';
import type { Router } from '../../actors/kernel/ports.ts';
import { Executors } from '../../actors/node/executors.ts';
import { StoreJournal } from '../../transport/sharding/journal.ts';
import { ReadModel } from '../read/read-model.ts';
import { Audits } from './audits.ts';
import { Cluster } from './cluster.ts';
import { CopyEviction } from './copy-eviction.ts';
import { FenceSweep } from './fence-sweep.ts';
import { type Host } from './host.ts';
import { Inventory } from './inventory.ts';
import { Metrics } from './metrics.ts';
import { type MachineFacts } from './machine-facts.ts';
import { reportResources } from './resource-reports.ts';
import { Presence } from './presence.ts';
import { Measuring } from './gauges.ts';
import { readGauges } from './machine.ts';
import { Repeating } from './repeating.ts';
import { ReservationAudit } from './reservation-audit.ts';
import { type Undo } from './undo.ts';
import { Scrub } from './scrub.ts';
import type { DaemonOptions } from './parts.ts';

/** Between looks for old files of the spool. */
const SWEEP_MS = 3_600_000;

interface Watched {
  readonly host: Host;
  readonly journal: StoreJournal;
  readonly executors: Executors;
  readonly router: Router;
  readonly cluster: Cluster;
  readonly read: ReadModel;
  readonly metrics: Metrics;
}

/** Looks after this machine, and at the others. */
export function startWatching(
  { config, random, log }: DaemonOptions,
  { host, journal, executors, router, cluster, read, metrics }: Watched,
  undo: Undo,
): void {
  const clock = systemClock;
  const lostAfterMs = config.missingAfterMs;
  const { copies, copyAfterMs: patienceMs } = config.image;
  const blobs = { copies, patienceMs };
  const presence = new Presence({ cluster, read, router, clock, random, log, lostAfterMs, blobs });
  undo.push(() => presence.stop());
  watchCopies({ config, random, log }, { host, router, cluster, read }, undo);
  const isWanted = (owner: string) => executors.isWanted(owner);
  const audits = new Audits({
    node: config.node,
    host,
    inventory: new Inventory({ node: config.node, ledger: host.ledger, executors, router, log }),
    fences: new FenceSweep({ ledger: host.ledger, journal }),
    router,
    clock,
    random,
    log,
    isWanted,
    onFound: (drifts) => metrics.audited(drifts),
  });
  undo.push(() => audits.stop());
  const sweeping = new Repeating({
    clock,
    log,
    everyMs: SWEEP_MS,
    run: () => host.images.spool.sweep(),
    trace: () => random.uuid(),
    failed: 'old files of the spool were not removed',
  });
  undo.push(() => sweeping.stop());
}

/** Looks after the replicas on this machine's disk. */
function watchCopies(
  { config, random, log }: Pick<DaemonOptions, 'config' | 'random' | 'log'>,
  { host, router, cluster, read }: Pick<Watched, 'host' | 'router' | 'cluster' | 'read'>,
  undo: Undo,
): void {
  const { node, dataDir, image } = config;
  const { copies, copyAfterMs: patienceMs, checkEveryMs: intervalMs, checkRate } = image;
  const parts = { node, read, router, clock: systemClock, random, log };
  const scrub = new Scrub({ ...parts, files: host.images, intervalMs, bytesPerSecond: checkRate });
  const isUp = (name: string) => cluster.isMember(name);
  const gauges = () => readGauges(dataDir);
  const eviction = new CopyEviction({ ...parts, isUp, copies, patienceMs, gauges });
  undo.push(
    () => scrub.stop(),
    () => eviction.stop(),
  );
}

export function startMeasuring(
  { config, random, log }: DaemonOptions,
  { read, router, facts }: Pick<Watched, 'read' | 'router'> & { readonly facts: MachineFacts },
  undo: Undo,
): void {
  const { node, dataDir } = config;
  const parts = { node, read, router, clock: systemClock, random, log };
  const measuring = new Measuring({ ...parts, gauges: () => readGauges(dataDir) });
  const reservations = new ReservationAudit(parts);
  const reports = reportResources({ ...parts, ...facts });
  undo.push(
    () => measuring.stop(),
    () => reservations.stop(),
    () => reports.stop(),
  );
}
