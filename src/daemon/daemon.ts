// One Troupe daemon: joins store, actors, drivers and API in the order in which they need each other, and
// takes them apart in the reverse order.
//
// Guests and networks are the machine's, not the daemon's: stop() leaves them as they are.
import { systemClock } from '../../actors/kernel/clock.ts';
import { codeOf } from '../../actors/kernel/errors.ts';
import type { Router } from '../../actors/kernel/ports.ts';
import { localRouter } from '../../actors/kernel/router.ts';
import { Runtime } from '../../actors/kernel/runtime.ts';
import { domainConverger } from '../../actors/node/domain.ts';
import { Executors } from '../../actors/node/executors.ts';
import { replicaConverger } from '../../actors/node/replica.ts';
import { segmentConverger } from '../../actors/node/segment.ts';
import { instanceRef } from '../../actors/instance/state.ts';
import { nodeRef, type Machine } from '../../actors/node/state.ts';
import { keyDigest } from '../../transport/sharding/admission.ts';
import type { Member } from '../../transport/sharding/member.ts';
import { StoreClaims, StoreJournal } from '../../transport/sharding/journal.ts';
import { EtcdStore } from '../../transport/store/etcd-store.ts';
import { GroupCommit } from '../../transport/store/group-commit.ts';
import { clusterKeys } from '../../transport/store/keys.ts';
import { TicketBooth } from '../api/stream/tickets.ts';
import { publicKeyOf, readIdentity } from '../cluster/files.ts';
import { ReadModel } from '../read/read-model.ts';
import { ARCHIVE } from '../archive/archive-message.ts';
import { archivePath, NodeHistory } from './archive.ts';
import { bootstrap, checkPool, type Login } from './bootstrap.ts';
import { Cluster, type ClusterOptions } from './cluster.ts';
import { channelOpener } from './cluster-wide.ts';
import { giveUpMachine } from './give-up-machine.ts';
import { DomainNews } from './domain-news.ts';
import {
  consoleAuthority,
  ensureConsoleCertificate,
  type ConsoleAuthority,
} from './console-tls.ts';
import { crashAt } from './crash-point.ts';
import { feedReadModel } from './feed.ts';
import { openHost, type Host } from './host.ts';
import { guestsOf } from './guests.ts';
import { identityOf } from './identity.ts';
import { registerKinds, STORED_FORMAT } from './kinds.ts';
import { measuredStore } from './measured-store.ts';
import { Metrics } from './metrics.ts';
import { machineFacts } from './machine-facts.ts';
import { clusterServices } from './cluster-services.ts';
import { readReplicas } from './replica-reads.ts';
import { machineService } from './machine-service/service.ts';
import { openAmong } from './mesh.ts';
import { describeMachine, readGauges } from './machine.ts';
import { unwind, type Undo } from './undo.ts';
import { UsageSamples } from './usage-samples.ts';
import { VERSION, type DaemonOptions, type Parts } from './parts.ts';
import { serveApi } from './serving.ts';
import { startMeasuring, startWatching } from './watching.ts';

export interface Daemon {
  readonly login: Login;
  /** Actors that had something to do at the start. */
  readonly resumed: number;
  readonly host: Host;
  /** Stops serving and deciding; guests and networks stay. Close the host afterwards. */
  stop(): Promise<void>;
}

/** Errors: what the machine or the services lack, each with the way out. */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { config, log } = options;
  const undo: Undo = [];
  const stop = () => unwind(undo, log);
  try {
    const metrics = new Metrics(systemClock);
    const etcd = new EtcdStore({ ...options.etcd, clock: systemClock });
    const store = measuredStore(etcd, metrics.store);
    undo.push(() => store.close());
    const keys = clusterKeys(config.cluster);
    const read = new ReadModel(systemClock, log);
    const { onFatal } = options;
    const timing = { clock: systemClock, random: Math.random };
    const feed = feedReadModel({ store, keys, read, ...timing, log, onFailed: onFatal });
    undo.push(() => feed.close());
    await feed.ready();
    const screens = await prepareConsoles(options, { store, keys });
    const host = await openHost({ ...options, clock: systemClock });
    undo.push(() => host.release());
    const parts = { store, keys, read, host, metrics, consoleAuthority: screens.certificate };
    const { login, resumed } = await startActors(options, parts, undo);
    return { login, resumed, host, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** What our libvirtd needs before a guest's screen is shown by TLS; another's is its operator's to see to. */
async function prepareConsoles(
  { config, trace }: DaemonOptions,
  where: Pick<Parts, 'store' | 'keys'>,
): Promise<ConsoleAuthority> {
  const { dataDir, cluster, node, mesh, vdiAddress } = config;
  const authority = await consoleAuthority({ ...where, dataDir, cluster, trace });
  if (config.libvirtSocket === null) {
    const everywhere = ['0.0.0.0', '::'];
    const addresses = [vdiAddress, mesh?.host ?? node].filter((one) => !everywhere.includes(one));
    const machine = { dataDir, node, addresses, nowMs: systemClock.nowMs(), trace };
    await ensureConsoleCertificate(authority, machine);
  }
  return authority;
}

/** What is asked of the machine itself, and of its guests. */
function ofMachine(options: DaemonOptions, host: Host, { member }: Self, undo: Undo) {
  const { hypervisor: consoles, network: dataplane, images: files } = host;
  const clock = systemClock;
  const guests = guestsOf({ ...options, ...host, boot: member.bootId, clock });
  undo.push(
    () => guests.operations.stop(),
    () => guests.diskCopying.stop(),
  );
  const samples = sampleUsage(options, host, undo);
  const usageOf = (instanceId: string) => samples.of(instanceId);
  const tickets = new TicketBooth(clock);
  return { consoles, tickets, usageOf, dataplane, files, guests, clock };
}

/** Joins the cluster with all actors, then serves. */
async function startActors(
  options: DaemonOptions,
  parts: Parts,
  undo: Undo,
): Promise<{ login: Login; resumed: number }> {
  const { config, trace } = options;
  const { store, keys, read, host, metrics } = parts;
  const self = describeSelf(options, host);
  const own = { ...options, node: config.node, ledger: host.ledger };
  const giveUp = async () => {
    await giveUpMachine({ ...own, executors });
    await host.images.endReads();
  };
  const cluster: Cluster = makeCluster(options, parts, self.member, {
    onJoined: () => introduce(options, { router, read }, self),
    onRemoved: (error) => void giveUp().then(() => options.onFatal(error)),
  });
  const services = () => clusterServices(options.etcd.hosts, cluster.members ?? [self.member]);
  host.images.refuseServices(services);
  const { past, journal } = openHistory(options, { store, keys, cluster }, undo);
  const runtime = makeRuntime(options, journal, cluster);
  const facts = machineFacts(config, read, runtime);
  const machine = ofMachine(options, host, self, undo);
  const local = localRouter(runtime, {
    executor: (to, message, trace) => executors.handle(to, message, trace),
    [ARCHIVE]: past.service,
    machine: machineService({ ...facts, runtime, ...machine }),
  });
  const here = { images: host.images, open: channelOpener(host.hypervisor), asks: metrics.asks };
  const ours = { ...options, ...parts, ...here, clock: systemClock };
  const among = await openAmong({ ...ours, member: self.member, cluster, local });
  const { router } = among;
  undo.push(() => among.close());
  const executors = startExecutors(options, host, router);
  runtime.connect(router);
  const claims = new StoreClaims(store, keys);
  const isMember = (node: string) => cluster.isMember(node);
  registerKinds(runtime, { config, claims, read, isMember, carry: (to) => cluster.carry(to) });
  const news = tellNews(options, host, { executors, router });
  undo.push(
    () => Promise.resolve(news.stop()),
    () => cluster.leave(),
    () => executors.stop(),
    () => runtime.stop(),
  );
  const reads = readReplicas({ ...options, images: host.images, router, clock: systemClock });
  undo.push(() => reads.stop());
  // Before the first object is made, so that nothing is missing.
  await past.start(router);
  const resumed = await joinOrGiveUp(cluster, runtime, giveUp);
  const patience = { patience: { clock: systemClock, ...options } };
  const login = await bootstrap({ ...config, ...self, ...patience, router, read, trace });
  // Who is decided for here says its wish again by itself, and hears how its guest is then; others have to be told.
  host.hypervisor.lookAgain((id) => cluster.epochOf(instanceRef(id)) === null);
  startWatching(options, { ...parts, journal, executors, router, cluster }, undo);
  startMeasuring(options, { read, router, facts }, undo);
  const served = { ...parts, ...among, journal, past, cluster, runtime };
  await serveApi(options, { ...served, booth: machine.tickets }, undo);
  return { login, resumed };
}

/** Resolves to how many actors had something to do. A machine that was removed ends what still runs on it. */
async function joinOrGiveUp(
  cluster: Cluster,
  runtime: Runtime,
  giveUp: () => Promise<void>,
): Promise<number> {
  try {
    return await cluster.join(runtime);
  } catch (error) {
    if (codeOf(error) === 'node/removed') await giveUp();
    throw error;
  }
}

/** What has happened, and the journal that adds to it. The role decides whether the archive is the cluster's. */
function openHistory(
  { config, random, log }: DaemonOptions,
  parts: Pick<Parts, 'store' | 'keys'> & { readonly cluster: Cluster },
  undo: Undo,
): { past: NodeHistory; journal: StoreJournal } {
  const { node, cluster, retention, roles, dataDir } = config;
  const path = roles.includes('events') ? archivePath(dataDir) : null;
  const timing = { clock: systemClock, random };
  const common = { node, path, cluster, retention, log, ...timing };
  const { store, keys, cluster: standpoint } = parts;
  const past = new NodeHistory({ ...common, store, keys, standpoint });
  const commits = new GroupCommit({ store, clock: systemClock });
  undo.push(
    () => commits.close(),
    () => past.close(),
  );
  return { past, journal: new StoreJournal(store, commits, keys, past.outbox) };
}

function makeCluster(
  { config, log }: DaemonOptions,
  { store, keys }: Parts,
  member: Member,
  listeners: Pick<ClusterOptions, 'onJoined' | 'onRemoved'>,
): Cluster {
  const common = { store, keys, clock: systemClock, log };
  const { leaseTtlMs } = config;
  const key = config.mesh === null ? '' : keyDigest(publicKeyOf(readIdentity(config)));
  const membership = { ...common, member, leaseTtlMs, key };
  return new Cluster({ ...common, random: Math.random, membership, ...listeners });
}

interface Self {
  readonly member: Member;
  readonly machine: Machine;
  readonly apiUrl: string;
}

function describeSelf({ config }: DaemonOptions, host: Host): Self {
  const apiUrl = `http://${config.api.address}:${config.api.port}`;
  const machine = describeMachine(config, host.underlay, host.hypervisor.capabilities);
  const identity = identityOf(config.dataDir);
  const { node, mesh, roles } = config;
  const { vtep } = machine;
  const servesApi = roles.includes('api');
  return {
    apiUrl,
    machine,
    member: {
      ...identity,
      node,
      version: VERSION,
      api: servesApi ? apiUrl : '',
      mesh,
      vtep,
      format: STORED_FORMAT,
      weight: 1,
    },
  };
}

/** Each time the daemon has joined, before its actors start: says what its machine is. */
async function introduce(
  { config, trace }: DaemonOptions,
  { router, read }: { router: Router; read: ReadModel },
  { machine, member }: Self,
): Promise<void> {
  checkPool(read, config.floatingBlock);
  const { bootId } = member;
  const gauges = readGauges(config.dataDir);
  const message = { kind: 'register', bootId, machine, gauges } as const;
  const reply = await router.ask(nodeRef(config.node), message, { trace });
  await read.reached(reply.revision);
}

function makeRuntime(options: DaemonOptions, journal: StoreJournal, ownership: Cluster): Runtime {
  const { config, random, log, onFatal } = options;
  const onBoundary = crashAt(config.crashPoint);
  return new Runtime({
    node: config.node,
    clock: systemClock,
    random,
    journal,
    ownership,
    log,
    onFatal,
    ...(onBoundary === undefined ? {} : { onBoundary }),
  });
}

function startExecutors({ config, log }: DaemonOptions, host: Host, router: Router): Executors {
  const { node, zone, upstreamDns } = config;
  const { network: dataplane, images, hypervisor } = host;
  return new Executors({
    node,
    log,
    fencing: host.ledger,
    convergers: {
      domain: domainConverger({ disks: images, dataplane, hypervisor, zone, upstreamDns }),
      segment: segmentConverger(node, dataplane),
      replica: replicaConverger(images, router, { node, clock: systemClock }),
    },
  });
}

function tellNews(
  { random, log }: DaemonOptions,
  { hypervisor }: Host,
  parts: { executors: Executors; router: Router },
): DomainNews {
  return new DomainNews({ ...parts, hypervisor, clock: systemClock, random, log });
}

function sampleUsage(
  { config: { node }, random, log }: DaemonOptions,
  { hypervisor }: Host,
  undo: Undo,
): UsageSamples {
  const usage = () => hypervisor.usage();
  const samples = new UsageSamples({ node, usage, clock: systemClock, random, log });
  undo.push(() => samples.stop());
  return samples;
}
