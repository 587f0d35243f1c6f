// A daemon that has nothing to do, with 10,000 stored objects and with 0, 50 and 500 standing instances: what it asks of
// the store, what it computes, and what each instance adds to that. All its parts run as src/daemon/daemon.ts puts them
// together, on simulated drivers and a virtual clock: an hour of idling takes seconds.
//
// The floor of the store's calls is the lease alone, renewed at each third of its TTL; that of the CPU is the daemon
// without instances.
import { instanceRef, type InstanceState } from '../../actors/instance/state.ts';
import { initial } from '../../actors/namespace/namespace.ts';
import { networkRef } from '../../actors/network/state.ts';
import { encodeEnvelope } from '../../transport/store/codec.ts';
import type { SimDaemon } from '../sim/cluster/daemon.ts';
import { SimNode } from '../sim/cluster/node.ts';
import { LEASE_TTL_MS, Site } from '../sim/cluster/site.ts';
import { instanceMessage } from '../sim/main-path.ts';
import { heapUsed } from './memory.ts';
import type { Report } from './row.ts';

const OBJECTS = 10_000;
const INSTANCES = [0, 50, 500] as const;
const NETWORK = 'network-1';
const CPUS = 64;
const MEMORY_MIB = 64;
const HOUR_MS = 3_600_000;
const SETTLE_MS = 300_000;
const LOOK_MS = 1_000;
const RENEWALS_PER_S = 3 / (LEASE_TTL_MS / 1_000);

interface Idle {
  /** Of an hour. */
  readonly calls: number;
  readonly writes: number;
  readonly cpuMs: number;
  /** With the stored objects and the simulated store's own copy of them. */
  readonly heapMiB: number;
  /** That the instances have added to it, with the machine that simulates them. */
  readonly addedKiB: number;
}

/** Reports rows per number of instances; half a minute in all. */
export async function bench(report: Report): Promise<void> {
  const found: Idle[] = [];
  for (const count of INSTANCES) found.push(await idle(count));
  const [none] = found;
  const most = found.at(-1);
  if (none === undefined || most === undefined) return;
  for (const [at, { calls, writes, cpuMs }] of found.entries()) {
    const name = `idle, ${OBJECTS} objects, ${INSTANCES[at]} instances:`;
    const perSecond = calls / (HOUR_MS / 1_000);
    report({ name: `${name} store`, ours: perSecond, floor: RENEWALS_PER_S, unit: 'calls/s' });
    report({ name: `${name} writes`, ours: writes, floor: 0, unit: '/hour' });
    const load = (ms: number) => (ms / HOUR_MS) * 100;
    report({
      name: `${name} CPU`,
      ours: load(cpuMs),
      floor: load(none.cpuMs),
      unit: '% of a core',
    });
  }
  report({ name: `heap with ${OBJECTS} objects`, ours: none.heapMiB, floor: 0, unit: 'MiB' });
  const each = most.addedKiB / (INSTANCES.at(-1) ?? 1);
  report({ name: 'heap that an instance adds', ours: each, floor: 0, unit: 'KiB' });
  const slope = (most.calls - none.calls) / (INSTANCES.at(-1) ?? 1);
  report({ name: 'store calls that an instance adds', ours: slope, floor: 0, unit: '/hour' });
}

async function idle(instances: number): Promise<Idle> {
  const before = heapUsed();
  const site = new Site({ seed: 1, bug: null, print: null });
  store(site);
  const node = new SimNode(site, 1, CPUS);
  node.boot();
  await until(site, () => node.isServing);
  const { daemon } = node;
  if (daemon === null) throw new Error('the daemon has died');
  const served = heapOf(site);
  await make(site, daemon, instances);
  await site.clock.advance(SETTLE_MS);
  const added = instances === 0 ? 0 : heapOf(site) - served;
  let calls = 0;
  daemon.store.faults.fate = () => {
    calls++;
    return 'pass';
  };
  const revision = site.server.revision;
  const cpu = process.cpuUsage();
  await site.clock.advance(HOUR_MS);
  const { user, system } = process.cpuUsage(cpu);
  const writes = site.server.revision - revision;
  node.kill('measured');
  const memory = { heapMiB: (served - before) / 2 ** 20, addedKiB: added / 2 ** 10 };
  return { calls, writes, cpuMs: (user + system) / 1_000, ...memory };
}

/** Without the history that the simulated store keeps. */
function heapOf({ server }: Site): number {
  server.compact(server.revision);
  return heapUsed();
}

/** As if they had been made long ago. */
function store({ server, keys, clock }: Site): void {
  const key = { hash: 'h'.repeat(88), salt: 's'.repeat(24), nonce: 'n'.repeat(36) };
  const state = { ...initial, phase: 'created', keys: { login: key }, sinceMs: clock.nowMs() };
  const value = encodeEnvelope({ schema: 1, state });
  for (let index = 0; index < OBJECTS; index++)
    server.txn({
      compare: [],
      then: [{ op: 'put', key: keys.object('namespace', `tenant-${index}`), value }],
    });
}

/** Instances without disks on one network, asked for at once, and up. */
async function make(site: Site, { router }: SimDaemon, count: number): Promise<void> {
  if (count === 0) return;
  const trace = { trace: 'bench', timeoutMs: 60_000 };
  const services = { dhcp: true, nat: false, dns: false, namespace: 'ns', name: NETWORK };
  const network = { kind: 'create', ...services, netblock: '10.0.0.0/16' } as const;
  void router.ask(networkRef(NETWORK), network, trace);
  await site.clock.advance(LOOK_MS);
  const message = instanceMessage();
  for (let index = 0; index < count; index++) {
    const nics = message.nics.map((nic) => ({ ...nic, interfaceId: `nic-${index}` }));
    const small = { memoryMiB: MEMORY_MIB, disks: [], nics, name: `vm-${index}` };
    void router.ask(instanceRef(`instance-${index}`), { ...message, ...small }, trace);
  }
  const isUp = ([, { phase, observed }]: readonly [string, InstanceState]) => {
    if (phase.endsWith('error')) throw new Error(`an instance is ${phase}`);
    return phase === 'created' && observed?.power === 'on';
  };
  const ups = () => site.view.all<InstanceState>('instance').filter(isUp).length;
  await until(site, () => ups() === count);
}

async function until({ clock }: Site, holds: () => boolean): Promise<void> {
  const giveUpAt = clock.monoMs() + HOUR_MS;
  while (!holds()) {
    if (clock.monoMs() > giveUpAt) throw new Error('not within an hour of virtual time');
    await clock.advance(LOOK_MS);
  }
}
