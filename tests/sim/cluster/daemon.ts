// One daemon of a simulated cluster: the product's own cluster, router, runtime, kinds, executors, journal, read
// model and audits, put together as src/daemon/daemon.ts does, over a simulated store, mesh and machine.
//
// D1  A daemon that has died decides, sends and acts no more, however far its promises had come: its time has
//     ended, its store and mesh are cut, its drivers stand still.
// D2  What the machine was told before goes on, as libvirt and the kernel do.
import { codeOf, TroupeError } from '../../../actors/kernel/errors.ts';
import type { Boundary } from '../../../actors/kernel/environment.ts';
import type { Address, Kind, Message } from '../../../actors/kernel/kind.ts';
import type { Journal, Log, Performers, Random, Router } from '../../../actors/kernel/ports.ts';
import { localRouter, type Service } from '../../../actors/kernel/router.ts';
import { Runtime } from '../../../actors/kernel/runtime.ts';
import { instanceRef } from '../../../actors/instance/state.ts';
import { namespaceRef, SYSTEM } from '../../../actors/namespace/state.ts';
import { FLOATING, networkRef } from '../../../actors/network/state.ts';
import { domainConverger } from '../../../actors/node/domain.ts';
import { EXECUTOR } from '../../../actors/node/executor-message.ts';
import { MACHINE as MACHINE_KIND } from '../../../actors/node/machine-message.ts';
import { Executors } from '../../../actors/node/executors.ts';
import { replicaConverger } from '../../../actors/node/replica.ts';
import { segmentConverger } from '../../../actors/node/segment.ts';
import { LIMITS } from '../../../actors/node/capacity.ts';
import { nodeRef, ROLES, type Machine } from '../../../actors/node/state.ts';
import type { ArchiveFile } from '../../../src/archive/archive-file.ts';
import { ARCHIVE } from '../../../src/archive/archive-message.ts';
import { archiveOver } from '../../../src/archive/archive.ts';
import { NodeHistory } from '../../../src/daemon/archive.ts';
import { Audits } from '../../../src/daemon/audits.ts';
import { Cluster } from '../../../src/daemon/cluster.ts';
import { DomainNews } from '../../../src/daemon/domain-news.ts';
import { CopyEviction } from '../../../src/daemon/copy-eviction.ts';
import { feedReadModel } from '../../../src/daemon/feed.ts';
import { FenceSweep } from '../../../src/daemon/fence-sweep.ts';
import { Measuring } from '../../../src/daemon/gauges.ts';
import { giveUpMachine } from '../../../src/daemon/give-up-machine.ts';
import { Inventory } from '../../../src/daemon/inventory.ts';
import { registerKinds } from '../../../src/daemon/kinds.ts';
import { NodeRemoval } from '../../../src/daemon/node-removal.ts';
import { Presence } from '../../../src/daemon/presence.ts';
import { reportResources } from '../../../src/daemon/resource-reports.ts';
import { ReservationAudit } from '../../../src/daemon/reservation-audit.ts';
import { Scrub } from '../../../src/daemon/scrub.ts';
import { ReadModel } from '../../../src/read/read-model.ts';
import { StoreClaims, StoreJournal } from '../../../transport/sharding/journal.ts';
import { clusterRouter } from '../../../transport/sharding/router.ts';
import type { Follow } from '../../../transport/store/follow.ts';
import { GroupCommit } from '../../../transport/store/group-commit.ts';
import { FOR_EVER } from '../../support/history-world.ts';
import { SimDataplane } from '../../support/sim-dataplane.ts';
import { simDiskCopying } from '../../support/sim-disk-copier.ts';
import { SimHypervisor } from '../../support/sim-hypervisor.ts';
import { SimImageDriver } from '../../support/sim-images.ts';
import { answerAsMachine, type SimMachineParts } from '../../support/sim-machine-service.ts';
import type { SimMachine } from '../../support/sim-machine.ts';
import type { Peer } from './mesh.ts';
import { LEASE_TTL_MS, type Site } from './site.ts';
import { SimStore } from './store.ts';
import { LocalClock } from './virtual-clock.ts';

/** A /28: small enough to run out. */
export const FLOATING_BLOCK = '192.168.20.0/28';
/** To the store and back, each way, on a good day. */
const MOST_STORE_DELAY_MS = 20;
const GIB = 2 ** 30;
const ZONE = { zone: 'cloud.test', upstreamDns: '9.9.9.9' };
const IMAGE = { maxDownloadBytes: GIB, maxDiskBytes: GIB, keepFreeBytes: GIB };
const MACHINE: Omit<Machine, 'vtep' | 'cpus'> = {
  roles: [...ROLES],
  failureDomain: null,
  limits: LIMITS,
  mtu: 1450,
  memoryMiB: 65_536,
  diskGiB: 500,
  accelerator: 'tcg',
  cpuModel: 'simulated',
  warning: null,
  versions: {},
};
const GAUGES = { availableMemoryMiB: 60_000, freeDiskGiB: 480, load: 0 };
/** A daemon that is away for longer is missing. */
const MISSING_MS = 30_000;
/** Replicas on nodes that are away for longer are made elsewhere. */
const PATIENCE_MS = 60_000;
const TRANSCODE_IDLE_MS = 600_000;
/** Each replica is read again so often. */
const CHECK_MS = 600_000;
const COPIES = 2;

/** `kind/effect/stage`, or `kind/turn/stage`. */
export function nameOf({ address, effect, stage }: Boundary): string {
  return `${address.kind}/${effect ?? 'turn'}/${stage}`;
}

function whereOf({ name, machine }: Host): { readonly name: string; readonly machine: SimMachine } {
  return { name, machine };
}

/** The machine a daemon is started on, as the daemon sees it. */
export interface Host {
  readonly name: string;
  readonly installation: string;
  readonly vtep: string;
  readonly machine: SimMachine;
  /** CPUs. */
  readonly cpus: number;
  /** On its disk. */
  readonly archive: ArchiveFile;
  /** Stands still while the machine is paused. */
  readonly clock: LocalClock;
}

export class SimDaemon {
  readonly bootId: string;
  readonly store: SimStore;
  readonly read: ReadModel;
  readonly runtime: Runtime;
  readonly executors: Executors;
  readonly cluster: Cluster;
  readonly router: Router;
  /** True from its first joining on. */
  isServing = false;
  isDead = false;
  readonly #site: Site;
  readonly #host: Host;
  readonly #random: Random;
  readonly #clock: LocalClock;
  readonly #commits: GroupCommit;
  readonly #journal: StoreJournal;
  /** As its API removes other nodes. */
  readonly removal: NodeRemoval;
  readonly #dataplane: SimDataplane;
  readonly #hypervisor: SimHypervisor;
  readonly #images: SimImageDriver;
  readonly #onDeath: (reason: string) => void;
  readonly #leaveMesh: () => void;
  readonly #news: DomainNews;
  readonly #past: NodeHistory;
  #feed: Follow | null = null;
  /** What runs beside the actors, from the joining on. */
  #watches: readonly { stop(): Promise<void> }[] = [];

  /** `onDeath` is told when the daemon ends by itself: it cannot go on, or crashes at a boundary. */
  constructor(site: Site, host: Host, boot: number, onDeath: (reason: string) => void) {
    const { name: node, machine } = host;
    this.#site = site;
    this.#host = host;
    this.#onDeath = onDeath;
    this.bootId = `${node}.${boot}`;
    this.#random = site.random(this.bootId);
    this.#clock = new LocalClock(host.clock);
    const timing = { clock: this.#clock, random: this.#number };
    this.store = new SimStore(site.server, { node, bootId: this.bootId }, timing);
    // No two alike: what overtakes what differs from run to run.
    this.store.faults.delayMs = this.#random.number() * MOST_STORE_DELAY_MS;
    this.read = new ReadModel(this.#clock, this.#log);
    const commits = { store: this.store, clock: this.#clock };
    this.#commits = site.bug?.commits?.(commits) ?? new GroupCommit(commits);
    this.cluster = this.#makeCluster();
    this.#past = this.#makeHistory();
    this.#journal = new StoreJournal(this.store, this.#commits, site.keys, this.#past.outbox);
    this.removal = new NodeRemoval({
      node,
      store: this.store,
      keys: site.keys,
      journal: this.#journal,
      clock: this.#clock,
      random: this.#random,
    });
    this.runtime = this.#makeRuntime(site.bug?.journal?.(this.#journal) ?? this.#journal);
    this.#dataplane = new SimDataplane(machine, this.#isAlive);
    this.#images = new SimImageDriver(machine, this.#isAlive);
    this.#hypervisor = new SimHypervisor(machine.hypervisor, this.#log);
    const local = this.#localRouter();
    const { peer, router } = this.#clusterRouter(local);
    this.router = router;
    this.executors = this.#makeExecutors(router);
    this.#leaveMesh = site.mesh.join(peer);
    this.#news = this.#tellNews();
    this.#registerKinds();
    this.runtime.connect(router);
  }

  /** Joins the cluster. Rejects as a real start does; kill() it then. */
  async start(): Promise<void> {
    const { read } = this;
    const { keys, bug } = this.#site;
    bug?.booted?.(whereOf(this.#host));
    const timing = { clock: this.#clock, random: this.#number };
    const onFailed = () => this.#onDeath('the feed failed');
    const feed = { store: this.store, keys, read, ...timing, log: this.#log, onFailed };
    this.#feed = feedReadModel(feed);
    await this.#feed.ready();
    await this.#past.start(this.router);
    try {
      await this.cluster.join(this.runtime);
    } catch (error) {
      if (codeOf(error) === 'node/removed') await this.#giveUp();
      throw error;
    }
    this.#hypervisor.lookAgain((id) => this.cluster.epochOf(instanceRef(id)) === null);
    this.#watches = this.#watch();
    bug?.patrol?.({ read, clock: this.#clock, ...whereOf(this.#host) });
    this.isServing = true;
  }

  /** Ends it at once, as a power cut of its process (D1). */
  kill(): void {
    if (this.isDead) return;
    this.isDead = true;
    this.isServing = false;
    this.#clock.end();
    this.#leaveMesh();
    this.#news.stop();
    this.store.faults.link = 'refused';
    void this.executors.stop();
  }

  /** Ends it as an operator does. */
  async stop(): Promise<void> {
    this.isServing = false;
    for (const one of this.#watches) await one.stop();
    await this.runtime.stop();
    await this.executors.stop();
    await this.cluster.leave();
    this.#news.stop();
    await this.#past.close();
    await this.#commits.close();
    await this.#feed?.close();
    await this.store.close();
    this.kill();
  }

  readonly #number = (): number => this.#random.number();

  readonly #isAlive = (): boolean => !this.isDead;

  readonly #log: Log = (level, message, fields = {}) => {
    if (level === 'error') this.#site.onError(this.bootId, message, fields['error']);
  };

  #makeCluster(): Cluster {
    const { store } = this;
    const { keys } = this.#site;
    const { name: node, installation, vtep } = this.#host;
    const identity = { node, installation, bootId: this.bootId };
    const what = { version: '1', format: 1, api: '', mesh: null, vtep, weight: 1 };
    const member = { ...identity, ...what };
    const timing = { clock: this.#clock, log: this.#log };
    return new Cluster({
      store,
      keys,
      ...timing,
      random: this.#number,
      membership: { store, keys, ...timing, member, leaseTtlMs: LEASE_TTL_MS },
      onJoined: () => this.#introduce(),
      onRemoved: (error) => void this.#giveUp().then(() => this.#onDeath(error.message)),
    });
  }

  #makeHistory(): NodeHistory {
    const { keys, bug } = this.#site;
    const { name: node, archive: file } = this.#host;
    const archive = archiveOver(file, this.#isAlive);
    return new NodeHistory({
      node,
      path: ':memory:',
      cluster: 'sim',
      retention: FOR_EVER,
      store: this.store,
      keys,
      standpoint: this.cluster,
      clock: this.#clock,
      random: this.#site.random(`history ${this.bootId}`),
      log: this.#log,
      archive: () => bug?.archive?.(archive, this.#clock) ?? archive,
    });
  }

  /** As src/daemon/daemon.ts does. */
  #giveUp(): Promise<void> {
    const { machine, name: node } = this.#host;
    const parts = { node, log: this.#log, trace: this.#random.uuid() };
    return giveUpMachine({ ...parts, ledger: machine.ledger, executors: this.executors });
  }

  #makeRuntime(journal: Journal): Runtime {
    return new Runtime({
      node: this.#host.name,
      clock: this.#clock,
      random: this.#random,
      journal,
      ownership: this.cluster,
      log: this.#log,
      onBoundary: (point) => this.#boundary(point),
      onFatal: () => this.#onDeath('an actor stopped it'),
    });
  }

  #localRouter(): Router {
    const handle = (to: Address, message: Message, trace: string) =>
      this.isDead ? new Promise<never>(() => {}) : this.executors.handle(to, message, trace);
    const executor = this.#site.bug?.service?.(handle) ?? handle;
    const archive: Service = (...ask) =>
      this.isDead ? new Promise<never>(() => {}) : this.#past.service(...ask);
    const ofMachine = this.#machineParts();
    const machine: Service = (_to, body) =>
      this.isDead ? new Promise<never>(() => {}) : answerAsMachine(ofMachine, body);
    const services = { [EXECUTOR]: executor, [ARCHIVE]: archive, [MACHINE_KIND]: machine };
    return localRouter(this.runtime, services);
  }

  /** No guest here has an agent. */
  #machineParts(): SimMachineParts {
    const { machine } = this.#host;
    const copying = simDiskCopying(
      { machine, clock: this.#clock, log: this.#log },
      this.#hypervisor,
      this.#isAlive,
    );
    const none = () => {
      throw new TroupeError('guest/lost', 'there is no agent in this guest');
    };
    const operations = { bootFor: none, run: none, end: () => undefined };
    return { operations, copying, images: machine.images };
  }

  #clusterRouter(local: Router): { peer: Peer; router: Router } {
    const { name: node } = this.#host;
    const peer: Peer = {
      node,
      clock: this.#clock,
      receive: (to, message, options) => local.ask(to, message, options),
    };
    const reach = this.#site.mesh.peersOf(peer);
    const router = clusterRouter({
      node,
      local,
      peers: {
        ask: (...letter) => (this.isDead ? new Promise(() => {}) : reach.ask(...letter)),
      },
      routes: this.cluster,
      clock: this.#clock,
      onLostTell: () => {},
    });
    return { peer, router };
  }

  #makeExecutors(router: Router): Executors {
    const { name: node, machine } = this.#host;
    const images = this.#images;
    const dataplane = this.#dataplane;
    const ports = { disks: images, dataplane, hypervisor: this.#hypervisor, ...ZONE };
    return new Executors({
      node,
      log: this.#log,
      fencing: machine.ledger,
      convergers: {
        domain: domainConverger(ports),
        segment: segmentConverger(node, dataplane),
        replica: replicaConverger(images, router, { node, clock: this.#clock }),
      },
    });
  }

  /** As src/daemon/daemon.ts does. */
  #watch(): { stop(): Promise<void> }[] {
    const { cluster, read, router } = this;
    const timing = { clock: this.#clock, random: this.#random, log: this.#log };
    const blobs = { copies: COPIES, patienceMs: PATIENCE_MS };
    const common = { node: this.#host.name, read, router, ...timing };
    return [
      new Presence({ cluster, read, router, ...timing, lostAfterMs: MISSING_MS, blobs }),
      this.#makeAudits(),
      new Scrub({ ...common, files: this.#images, intervalMs: CHECK_MS, bytesPerSecond: GIB }),
      new CopyEviction({
        ...common,
        ...blobs,
        isUp: (node) => cluster.isMember(node),
        gauges: () => GAUGES,
      }),
      new Measuring({ ...common, gauges: () => GAUGES }),
      new ReservationAudit(common),
      reportResources({ ...common, resources: () => ({ cpu_max: 8 }), processes: () => ({}) }),
    ];
  }

  #makeAudits(): Audits {
    const { machine, name: node } = this.#host;
    const parts = { node, router: this.router, log: this.#log };
    return new Audits({
      node,
      host: { audit: (isWanted, trace) => this.#dataplane.audit(isWanted, trace) },
      inventory: new Inventory({ ...parts, ledger: machine.ledger, executors: this.executors }),
      fences: new FenceSweep({ ledger: machine.ledger, journal: this.#journal }),
      router: this.router,
      clock: this.#clock,
      random: this.#random,
      log: this.#log,
      isWanted: (owner) => this.executors.isWanted(owner),
    });
  }

  #tellNews(): DomainNews {
    const { executors, router } = this;
    const parts = { executors, router, hypervisor: this.#hypervisor };
    return new DomainNews({ ...parts, clock: this.#clock, random: this.#random, log: this.#log });
  }

  #registerKinds(): void {
    const { bug, keys } = this.#site;
    const register = <S, M extends Message, E extends string>(
      kind: Kind<S, M, E>,
      performers: Performers<S, M, E>,
    ) => this.runtime.register(bug?.kind?.(kind) ?? kind, performers);
    const claims = new StoreClaims(this.store, keys);
    const image = {
      ...IMAGE,
      copies: COPIES,
      copyAfterMs: PATIENCE_MS,
      transcodeIdleMs: TRANSCODE_IDLE_MS,
      snapshots: 'full' as const,
      consoleDays: 1,
      uploadIdleMs: 86_400_000,
      checkEveryMs: CHECK_MS,
      checkRate: GIB,
      copyRate: 0,
      lazyFromBytes: 0,
      readPorts: { first: 1, last: 1 },
      shortcuts: [],
      fetchAllow: [],
      fetchRefuse: [],
      httpProxy: null,
    };
    const config = { ...ZONE, floatingBlock: FLOATING_BLOCK, image, node: this.#host.name };
    const isMember = (node: string) => this.cluster.isMember(node);
    const carry = (weight: number) => this.cluster.carry(weight);
    registerKinds({ register }, { config, claims, read: this.read, isMember, carry });
  }

  /** As the real one, less what only people need: its login. */
  async #introduce(): Promise<void> {
    const { name, vtep, cpus } = this.#host;
    const trace = this.#random.uuid();
    const machine: Machine = { ...MACHINE, vtep, cpus };
    const { bootId, router } = this;
    const registered = await router.ask(
      nodeRef(name),
      { kind: 'register', bootId, machine, gauges: GAUGES },
      { trace },
    );
    await this.read.reached(registered.revision);
    const pool = { kind: 'create-pool', netblock: FLOATING_BLOCK } as const;
    await router.ask(networkRef(FLOATING), pool, { trace });
    await router.ask(namespaceRef(SYSTEM), { kind: 'create' }, { trace });
  }

  #boundary(point: Boundary): Promise<void> | void {
    const fate = this.isDead ? 'crash' : this.#site.atBoundary(this.#host.name, point);
    if (fate !== 'crash') return;
    if (!this.isDead) this.#onDeath(`crashed at ${nameOf(point)}`);
    return new Promise<void>(() => {});
  }
}
