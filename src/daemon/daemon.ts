// One Troupe daemon: joins store, actors, drivers and API in the order in which they need each other, and
// takes them apart in the reverse order.
//
// Guests and networks are the machine's, not the daemon's: stop() leaves them as they are.
import type { Server } from 'node:http';
import { once } from 'node:events';
import { systemClock } from '../../actors/kernel/clock.ts';
import type { Log, Random, Router } from '../../actors/kernel/ports.ts';
import { localRouter } from '../../actors/kernel/router.ts';
import { Runtime } from '../../actors/kernel/runtime.ts';
import { domainConverger } from '../../actors/node/domain.ts';
import { Executors } from '../../actors/node/executors.ts';
import { replicaConverger } from '../../actors/node/replica.ts';
import { segmentConverger } from '../../actors/node/segment.ts';
import { instanceRef } from '../../actors/instance/state.ts';
import { nodeRef, type Machine } from '../../actors/node/state.ts';
import type { Member } from '../../transport/sharding/member.ts';
import { StoreClaims, StoreJournal } from '../../transport/sharding/journal.ts';
import { EtcdStore } from '../../transport/store/etcd-store.ts';
import { GroupCommit } from '../../transport/store/group-commit.ts';
import { clusterKeys, type Keys } from '../../transport/store/keys.ts';
import type { Store } from '../../transport/store/store.ts';
import { apiRoutes } from '../api/routes.ts';
import { Hub } from '../api/stream/hub.ts';
import { TicketBooth } from '../api/stream/tickets.ts';
import { apiServer, closeServer } from '../api/http/server.ts';
import type { Config } from '../config.ts';
import type { EtcdAccess } from '../embedded/etcd-health.ts';
import { listenFailure } from '../embedded/preflight.ts';
import type { Probed } from '../drivers/hypervisor/probe.ts';
import { ReadModel } from '../read/read-model.ts';
import { apiServices, type ApiParts } from './api.ts';
import { Audits } from './audits.ts';
import { bootstrap, checkPool, tokenSecret, type Login } from './bootstrap.ts';
import { Cluster } from './cluster.ts';
import { channelOpener } from './cluster-wide.ts';
import { DomainNews } from './domain-news.ts';
import { crashAt } from './crash-point.ts';
import { feedReadModel } from './feed.ts';
import { FenceSweep } from './fence-sweep.ts';
import { openHost, type Host } from './host.ts';
import { identityOf } from './identity.ts';
import { Inventory } from './inventory.ts';
import { registerKinds, STORED_FORMAT } from './kinds.ts';
import { machineService } from './machine-service.ts';
import { openAmong } from './mesh.ts';
import { OutboxHistory } from './outbox-history.ts';
import { Presence } from './presence.ts';
import { Measuring } from './gauges.ts';
import { describeMachine, readGauges } from './machine.ts';
import { ReservationAudit } from './reservation-audit.ts';
import { unwind, type Undo } from './undo.ts';
import { WebSockets } from './web-sockets.ts';

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

export interface Daemon {
  readonly login: Login;
  /** Actors that had something to do at the start. */
  readonly resumed: number;
  readonly host: Host;
  /** Stops serving and deciding; guests and networks stay. Close the host afterwards. */
  stop(): Promise<void>;
}

const VERSION = '0.1.0';
/** Requests under way when the daemon stops. */
const API_GRACE_MS = 5_000;

/** Errors: what the machine or the services lack, each with the way out. */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { config, log } = options;
  const undo: Undo = [];
  const stop = () => unwind(undo, log);
  try {
    const store = new EtcdStore({ ...options.etcd, clock: systemClock });
    undo.push(() => store.close());
    const keys = clusterKeys(config.cluster);
    const read = new ReadModel(systemClock, log);
    const { onFatal } = options;
    const timing = { clock: systemClock, random: Math.random };
    const feed = feedReadModel({ store, keys, read, ...timing, log, onFailed: onFatal });
    undo.push(() => feed.close());
    await feed.ready();
    const host = await openHost({ ...options, clock: systemClock });
    undo.push(() => host.release());
    const parts = { store, keys, read, host };
    const { login, resumed } = await startActors(options, parts, undo);
    return { login, resumed, host, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface Parts {
  readonly store: Store;
  readonly keys: Keys;
  readonly read: ReadModel;
  readonly host: Host;
}

/** Joins the cluster with all actors, then serves. */
async function startActors(
  options: DaemonOptions,
  parts: Parts,
  undo: Undo,
): Promise<{ login: Login; resumed: number }> {
  const { config, log, trace } = options;
  const { store, keys, read, host } = parts;
  const commits = new GroupCommit({ store, clock: systemClock });
  undo.push(() => commits.close());
  const journal = new StoreJournal(store, commits, keys);
  const self = describeSelf(options, host);
  const cluster: Cluster = makeCluster(options, parts, self.member, () =>
    introduce(options, { router, read }, self),
  );
  const runtime = makeRuntime(options, journal, cluster);
  const booth = new TicketBooth(systemClock);
  const asked = { runtime, consoles: host.hypervisor, tickets: booth, clock: systemClock };
  const local = localRouter(runtime, {
    executor: (to, message, trace) => executors.handle(to, message, trace),
    machine: machineService(asked),
  });
  const among = await openAmong({
    config,
    store,
    keys,
    member: self.member,
    cluster,
    local,
    images: host.images,
    open: channelOpener(host.hypervisor),
    clock: systemClock,
    log,
  });
  const { router, channels } = among;
  undo.push(() => among.close());
  const executors = startExecutors(options, host, router);
  runtime.connect(router);
  const isMember = (node: string) => cluster.isMember(node);
  const carry = (weight: number) => cluster.carry(weight);
  registerKinds(runtime, { config, claims: new StoreClaims(store, keys), read, isMember, carry });
  const news = tellNews(options, host, { executors, router });
  undo.push(
    () => Promise.resolve(news.stop()),
    () => cluster.leave(),
    () => executors.stop(),
    () => runtime.stop(),
  );
  const resumed = await cluster.join(runtime);
  const patience = { clock: systemClock, ...options };
  const { apiUrl } = self;
  const login = await bootstrap({ ...config, router, read, apiUrl, trace, patience });
  // Who is decided for here says its wish again by itself, and hears how its guest is then; others have to be told.
  host.hypervisor.lookAgain((id) => cluster.epochOf(instanceRef(id)) === null);
  startWatching(options, { host, journal, executors, router, cluster, read }, undo);
  startMeasuring(options, read, router, undo);
  if (config.roles.includes('api')) {
    await serveApi(options, { ...parts, journal, cluster, router, booth, channels }, undo);
  }
  return { login, resumed };
}

async function serveApi(
  options: DaemonOptions,
  parts: Parts & Pick<ApiParts, 'journal' | 'cluster' | 'router' | 'booth' | 'channels'>,
  undo: Undo,
): Promise<void> {
  const secret = await tokenSecret(parts.store, parts.keys);
  const timing = { clock: systemClock, random: Math.random };
  const history = new OutboxHistory({ ...options, ...parts, ...timing, onFailed: options.onFatal });
  undo.push(() => history.close());
  await history.ready();
  const hub = new Hub({ node: options.config.node, history, clock: systemClock });
  const sockets = new WebSockets(systemClock);
  const made = { tokenSecret: secret, hub, sockets, here: parts.host.hypervisor };
  const services = apiServices({ ...options, ...parts, ...made });
  await serve(options.config.api, apiServer(services, apiRoutes(services)), undo);
  undo.push(() => {
    hub.close();
    return sockets.close();
  });
}

function makeCluster(
  { config, log }: DaemonOptions,
  { store, keys }: Parts,
  member: Member,
  onJoined: () => Promise<void>,
): Cluster {
  const common = { store, keys, clock: systemClock, log };
  const { leaseTtlMs } = config;
  const membership = { ...common, member, leaseTtlMs };
  return new Cluster({ ...common, random: Math.random, membership, onJoined });
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
      replica: replicaConverger(images, router),
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

interface Watched {
  readonly host: Host;
  readonly journal: StoreJournal;
  readonly executors: Executors;
  readonly router: Router;
  readonly cluster: Cluster;
  readonly read: ReadModel;
}

/** Looks after this machine, and at the others. */
function startWatching(
  { config, random, log }: DaemonOptions,
  { host, journal, executors, router, cluster, read }: Watched,
  undo: Undo,
): void {
  const clock = systemClock;
  const lostAfterMs = config.missingAfterMs;
  const { copies, copyAfterMs: patienceMs } = config.image;
  const blobs = { copies, patienceMs };
  const presence = new Presence({ cluster, read, router, clock, random, log, lostAfterMs, blobs });
  undo.push(() => presence.stop());
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
  });
  undo.push(() => audits.stop());
}

function startMeasuring(
  { config, random, log }: DaemonOptions,
  read: ReadModel,
  router: Router,
  undo: Undo,
): void {
  const { node, dataDir } = config;
  const parts = { node, read, router, clock: systemClock, random, log };
  const measuring = new Measuring({ ...parts, gauges: () => readGauges(dataDir) });
  const reservations = new ReservationAudit(parts);
  undo.push(
    () => measuring.stop(),
    () => reservations.stop(),
  );
}

async function serve({ address, port }: Config['api'], server: Server, undo: Undo): Promise<void> {
  const listening = once(server, 'listening');
  server.listen(port, address);
  try {
    await listening;
  } catch (error) {
    throw listenFailure(
      { what: 'the API', setting: 'api', address, port },
      error as NodeJS.ErrnoException,
    );
  }
  undo.push(() => closeServer(server, API_GRACE_MS));
}
