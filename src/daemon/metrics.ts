// What this daemon measures, put together for a scraper. Nearly all of it is counted anyway where it happens and only
// read here, so a daemon that nobody scrapes pays for a few additions per request, store call and ask.
import type { Clock } from '../../actors/kernel/clock.ts';
import { reasonOf } from '../../actors/kernel/errors.ts';
import { parseAddress } from '../../actors/kernel/kind.ts';
import type { Log } from '../../actors/kernel/ports.ts';
import type { Runtime } from '../../actors/kernel/runtime.ts';
import type { Drift } from '../../actors/network/ports.ts';
import type { PeerStatus } from '../../transport/mesh/mesh.ts';
import { CallMeter } from '../metrics/call-meter.ts';
import { expose, one, type Family, type Format, type Sample } from '../metrics/exposition.ts';
import { instanceFamilies, type GuestUsage, type NamedUsage } from '../metrics/instances.ts';
import { HttpMeter } from '../metrics/http-meter.ts';
import { ProcessMeter } from '../metrics/process.ts';
import type { Monitoring } from '../api/services.ts';
import type { ReadModel } from '../read/read-model.ts';
import type { Cluster } from './cluster.ts';

/** What is read at each scrape. */
export interface Measured {
  readonly node: string;
  readonly version: string;
  readonly clock: Clock;
  readonly runtime: Pick<Runtime, 'stats' | 'stuck'>;
  readonly cluster: Pick<
    Cluster,
    'members' | 'isJoined' | 'shardCount' | 'shardMoves' | 'leaseLosses'
  >;
  readonly read: ReadModel;
  readonly peers: () => readonly PeerStatus[];
  /** Of the guests of this machine, where they are counted; rejects when libvirt does not answer. */
  readonly usage?: () => Promise<readonly GuestUsage[]>;
  readonly log: Log;
}

export class Metrics {
  readonly http = new HttpMeter();
  readonly store: CallMeter;
  readonly asks: CallMeter;
  readonly #process = new ProcessMeter();
  /** By resource and whether it was repaired. */
  readonly #drifts = new Map<string, number>();
  #audits = 0;

  constructor(clock: Clock) {
    this.store = new CallMeter(clock);
    this.asks = new CallMeter(clock);
  }

  /** One audit's findings. */
  audited(drifts: readonly Drift[]): void {
    this.#audits++;
    for (const { resource, repaired } of drifts) {
      const key = `${resource} ${repaired}`;
      this.#drifts.set(key, (this.#drifts.get(key) ?? 0) + 1);
    }
  }

  /** A libvirt that does not answer costs the guests' samples, not the others. */
  async text(measured: Measured, format: Format): Promise<string> {
    const guests = await guestsOf(measured);
    return expose([...this.#families(measured), ...instanceFamilies(guests)], format);
  }

  *#families(measured: Measured): Generator<Family> {
    const { node, version, read } = measured;
    const labels = [version, process.version, node];
    yield { name: 'troupe_build_info', samples: [{ labels, value: 1 }] };
    yield* this.http.families();
    yield* actorFamilies(measured);
    yield* clusterFamilies(measured);
    yield { name: 'troupe_store_duration_seconds', samples: this.store.durations() };
    yield { name: 'troupe_store_errors', samples: this.store.errors() };
    yield* this.#meshFamilies(measured);
    yield one('troupe_audits', this.#audits);
    yield { name: 'troupe_drift', samples: counted(this.#drifts) };
    const unrepaired = read.nodes.get(node)?.state.drifts.length ?? 0;
    yield one('troupe_drift_unrepaired', unrepaired);
    yield* this.#process.families();
  }

  *#meshFamilies({ peers }: Measured): Generator<Family> {
    const links = peers().map(({ node, state }) => ({
      labels: [node],
      value: state === 'open' ? 1 : 0,
    }));
    yield { name: 'troupe_mesh_link_up', samples: links };
    yield one('troupe_mesh_asks_in_flight', this.asks.inFlight);
    const durations = this.asks.durations().map((sample) => ({ ...sample, labels: [] }));
    yield { name: 'troupe_mesh_ask_duration_seconds', samples: durations };
    const errors = this.asks.errors().map(({ labels: [, code], value }) => ({
      labels: [code],
      value,
    }));
    yield { name: 'troupe_mesh_ask_errors', samples: errors };
  }
}

async function guestsOf({ usage, read, log }: Measured): Promise<NamedUsage[]> {
  if (usage === undefined) return [];
  try {
    return (await usage()).flatMap((one) => {
      const state = read.instances.get(one.instanceId)?.state;
      if (state === undefined) return [];
      const { namespace, name } = state;
      return [{ namespace, name, usage: one }];
    });
  } catch (error) {
    log('warn', 'what guests use is not known', { reason: reasonOf(error) });
    return [];
  }
}

/** How the API answers who watches over the daemon; who may ask is a setting. */
export function monitoringOf(measured: Measured, metrics: Metrics): Omit<Monitoring, 'access'> {
  const { cluster, read } = measured;
  return {
    requests: metrics.http,
    metrics: (format) => metrics.text(measured, format),
    notReady: () => [
      ...(cluster.isJoined ? [] : ['it is no member of the cluster at the moment']),
      ...(read.isStale ? ['its copy may be old, since it has lost etcd'] : []),
    ],
  };
}

function* actorFamilies({ runtime, clock }: Measured): Generator<Family> {
  const stats = runtime.stats();
  const kinds = Object.entries(stats.kinds);
  yield {
    name: 'troupe_actors',
    samples: kinds.map(([kind, { actors: value }]) => ({ labels: [kind], value })),
  };
  yield {
    name: 'troupe_mailbox_messages',
    samples: kinds.map(([kind, { waiting: value }]) => ({ labels: [kind], value })),
  };
  yield one('troupe_mailbox_deepest_messages', stats.mailbox.deepest);
  yield one('troupe_turns', stats.turns);
  yield one('troupe_turn_writes', stats.writes);
  yield one('troupe_turn_refusals', stats.refusals);
  yield one('troupe_turn_store_failures', stats.storeFailures);
  yield one('troupe_actor_crashes', stats.crashes);
  yield one('troupe_actor_restarts', stats.restarts);
  yield one('troupe_actor_parks', stats.parks);
  yield { name: 'troupe_dead_letters', samples: deadLetters(stats.deadLetters) };
  yield* effectFamilies(stats.effects);
  const stuck = new Map<string, number>();
  for (const { address } of runtime.stuck(clock.nowMs())) {
    const kind = parseAddress(address)?.kind ?? '';
    stuck.set(kind, (stuck.get(kind) ?? 0) + 1);
  }
  const samples = kinds.map(([kind]) => ({ labels: [kind], value: stuck.get(kind) ?? 0 }));
  yield { name: 'troupe_stuck_objects', samples };
}

function* effectFamilies(
  effects: ReturnType<Runtime['stats']>['effects'],
): Generator<Family, void, undefined> {
  const rows = Object.entries(effects).map(([name, row]) => ({ labels: name.split('/'), row }));
  const ended = rows.flatMap(({ labels, row }) =>
    (['succeeded', 'failed', 'aborted'] as const).map((outcome) => ({
      labels: [...labels, outcome],
      value: row[outcome],
    })),
  );
  yield { name: 'troupe_effects', samples: ended };
  const countOf = (row: (typeof rows)[number]['row']) => row.succeeded + row.failed + row.aborted;
  yield {
    name: 'troupe_effects_running',
    samples: rows.map(({ labels, row }) => ({ labels, value: row.started - countOf(row) })),
  };
  yield {
    name: 'troupe_effect_retries',
    samples: rows.map(({ labels, row }) => ({ labels, value: row.retries })),
  };
  yield {
    name: 'troupe_effect_duration_seconds',
    samples: rows.map(({ labels, row }) => ({
      labels,
      sum: row.totalMs / 1000,
      count: countOf(row),
    })),
  };
}

function* clusterFamilies({ cluster, read }: Measured): Generator<Family> {
  const { shardMoves, shardCount, leaseLosses, members, isJoined } = cluster;
  yield { name: 'troupe_objects', samples: objectCounts(read) };
  yield one('troupe_shards_owned', shardCount);
  yield one('troupe_shards_taken', shardMoves.taken);
  yield one('troupe_shards_given_up', shardMoves.givenUp);
  yield one('troupe_lease_losses', leaseLosses);
  yield one('troupe_is_member', isJoined ? 1 : 0);
  yield one('troupe_members', members?.length ?? 0);
  yield one('troupe_copy_stale', read.isStale ? 1 : 0);
  yield one('troupe_copy_revision', read.revision);
}

function objectCounts(read: ReadModel): Sample[] {
  const { artifacts, blobs, instances, interfaces, namespaces, networks, nodes } = read;
  return [artifacts, blobs, instances, interfaces, namespaces, networks, nodes].map(
    ({ kind, size }) => ({ labels: [kind], value: size }),
  );
}

/** `kind message reason`: which message it was is left to the log. */
function deadLetters(counts: Readonly<Record<string, number>>): Sample[] {
  const sums = new Map<string, number>();
  for (const [name, count] of Object.entries(counts)) {
    const [kind = '', , reason = ''] = name.split(' ');
    const key = `${kind} ${reason}`;
    sums.set(key, (sums.get(key) ?? 0) + count);
  }
  return counted(sums);
}

/** Labels are the words of the key. */
function counted(counts: ReadonlyMap<string, number>): Sample[] {
  return [...counts].map(([key, value]) => ({ labels: key.split(' '), value }));
}
