// A whole daemon but for its machine and its store: the real API on a loopback port over the real actors, a read
// model fed from a journal in memory, and executors that say at once that what is wanted is there.
//
// A1  Nothing of src/api, src/read or actors is replaced.
// A2  The read model hears of a write a turn of the event loop later, as from a watch; hold() makes it later still.
// A3  Every answer is what the table of routes declares: its shape, or the status of a refusal.
// A4  Two tenants (`lab`, `other`) besides `system`; a token for each without the cost of a login.
import { randomUUID } from 'node:crypto';
import { Agent, request as httpRequest, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { agentOperation } from '../../actors/agent-operation/agent-operation.ts';
import { diskSnapshot } from '../../actors/disk-snapshot/disk-snapshot.ts';
import { diskSnapshotPerformers } from '../../actors/disk-snapshot/effects.ts';
import { agentOperationPerformers } from '../../actors/agent-operation/effects.ts';
import { artifactPerformers } from '../../actors/artifact/effects.ts';
import { artifact } from '../../actors/artifact/artifact.ts';
import { blob } from '../../actors/blob/blob.ts';
import { blobPerformers } from '../../actors/blob/effects.ts';
import { instancePerformers } from '../../actors/instance/effects.ts';
import { instance } from '../../actors/instance/instance.ts';
import { interfacePerformers } from '../../actors/interface/effects.ts';
import { interfaceKind } from '../../actors/interface/interface.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { Address, Message, Ref } from '../../actors/kernel/kind.ts';
import type { Log } from '../../actors/kernel/ports.ts';
import { localRouter } from '../../actors/kernel/router.ts';
import { Runtime } from '../../actors/kernel/runtime.ts';
import { namespace } from '../../actors/namespace/namespace.ts';
import { namespaceRef } from '../../actors/namespace/state.ts';
import { networkPerformers } from '../../actors/network/effects.ts';
import { network } from '../../actors/network/network.ts';
import { FLOATING, networkRef } from '../../actors/network/state.ts';
import { nodePerformers } from '../../actors/node/effects.ts';
import { node } from '../../actors/node/node.ts';
import { removed } from '../../actors/node/removal.ts';
import { nodeRef } from '../../actors/node/state.ts';
import { uploadPerformers } from '../../actors/upload/effects.ts';
import { upload } from '../../actors/upload/upload.ts';
import { apiRoutes } from '../../src/api/routes.ts';
import { hashSecret } from '../../src/api/identity/secret.ts';
import {
  apiServer,
  closeServer,
  SERVER_LIMITS,
  type ServerLimits,
} from '../../src/api/http/server.ts';
import type { ApiServices, MetricsAccess, Monitoring } from '../../src/api/services.ts';
import { Hub, type HubOptions } from '../../src/api/stream/hub.ts';
import { TicketBooth } from '../../src/api/stream/tickets.ts';
import type { ChannelDialler } from '../../transport/mesh/channel.ts';
import { MemoryHistory } from './memory-history.ts';
import { AuditTrail } from '../../src/api/identity/audit-trail.ts';
import { signToken } from '../../src/api/identity/token.ts';
import {
  consoles,
  machineBytes,
  machines,
  operations,
  tickets,
  usageOf,
} from '../../src/daemon/cluster-wide.ts';
import { SOCKET_LIMITS, WebSockets, type SocketLimits } from '../../src/daemon/web-sockets.ts';
import { Metrics, monitoringOf } from '../../src/daemon/metrics.ts';
import { machineService } from '../../src/daemon/machine-service/service.ts';
import { ReadModel } from '../../src/read/read-model.ts';
import { ApiArchive } from './api-archive.ts';
import {
  FakeMachine,
  FedJournal,
  MemoryClaims,
  MemorySecrets,
  ShiftedClock,
} from './api-machine.ts';
import { AnswerCheck } from './answer-check.ts';
import { candidates } from '../../src/daemon/candidates.ts';
import { FakeOwnership, keptLog, type LogLine } from './kernel.ts';
import { MACHINE } from './machine-facts.ts';
import { waitUntil } from './wait.ts';

export const NODE = 'n1';
export const SECRETS = {
  system: 'system-secret',
  lab: 'lab-secret',
  other: 'other-secret',
} as const;
export type Tenant = keyof typeof SECRETS;

export { refusedByMachine } from './api-machine.ts';

const ZONE = 'troupe.test';
const FLOATING_BLOCK = '192.0.2.0/24';
const EPOCH = 1;
/** So long the consoles of deleted instances are kept. */
export const CONSOLE_DAYS = 2;
export const CONSOLE_AUTHORITY = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n';
/** Of the only daemon. */
export const BOOT = 'boot';

export interface ApiReply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** Undefined when the body is no JSON. */
  readonly json: unknown;
}

export interface CallOptions {
  /** Whose token; null: none. Default `lab`. */
  readonly as?: Tenant | null;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Sent as it is. */
  readonly raw?: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
}

export type View = Record<string, unknown>;

export interface ApiWorldOptions {
  readonly limits?: Partial<ServerLimits>;
  /** MiB on the only node. */
  readonly memoryMiB?: number;
  readonly sockets?: Partial<SocketLimits>;
  readonly hub?: Partial<HubOptions>;
  readonly floatingBlock?: string;
}

const NO_CHANNELS: ChannelDialler = { open: () => Promise.reject(new Error('no other nodes')) };

export class ApiWorld {
  readonly clock = new ShiftedClock();
  readonly journal = new FedJournal(EPOCH);
  readonly machine = new FakeMachine();
  readonly past = new ApiArchive();
  readonly random = { number: () => Math.random(), uuid: () => randomUUID() };
  readonly lines: readonly LogLine[];
  readonly read: ReadModel;
  readonly runtime: Runtime;
  readonly services: ApiServices;
  readonly server: Server;
  readonly history = new MemoryHistory();
  readonly sockets: WebSockets;
  readonly booth: TicketBooth;
  metricsAccess: MetricsAccess = 'local';
  readonly unready: string[] = [];
  readonly tokens = new MemorySecrets(() => this.clock.nowMs());
  readonly #answers: AnswerCheck;
  readonly #tokens = new Map<string, string>();
  readonly #agent = new Agent({ keepAlive: true });

  constructor(options: ApiWorldOptions = {}) {
    const { log, lines } = keptLog();
    this.lines = lines;
    const { clock, random, journal } = this;
    this.read = new ReadModel(clock, log);
    journal.model = this.read;
    journal.histories.push(this.history);
    this.sockets = new WebSockets(clock, { ...SOCKET_LIMITS, ...options.sockets });
    this.booth = new TicketBooth(clock);
    journal.onCommit = (write, revision) => this.past.record(write, revision);
    const ownership = new FakeOwnership(EPOCH);
    this.runtime = new Runtime({ node: NODE, clock, random, journal, ownership, log });
    const router = localRouter(this.runtime, {
      executor: (to, message) => this.machine.handle(to, message),
      machine: machineService({
        runtime: this.runtime,
        pid: 4_211,
        resources: () => ({ cpu_load_1: 0.5, cpu_load_5: 0.25, cpu_load_15: 0.125 }),
        processes: () => ({ process_age_troupe: 90 }),
        consoles: this.machine,
        tickets: this.booth,
        usageOf: (id) => this.machine.usageOf(id),
        files: this.machine.files,
        dataplane: this.machine,
        guests: this.machine.guests(BOOT, clock),
        clock,
      }),
    });
    this.runtime.connect(router);
    registerKinds(this.runtime, this.read, options.floatingBlock ?? FLOATING_BLOCK);
    const members = () => [{ node: NODE, version: '0.1.0' }];
    const { read } = this;
    const wide = { node: NODE, read, router, log, members, nodeOf: () => NODE };
    this.services = {
      node: NODE,
      members,
      zone: ZONE,
      snapshots: 'full',
      uploadIdleMs: 86_400_000,
      imageShortcuts: [{ pattern: 'debian*', url: 'http://images.test/{name}/v{version}.qcow2' }],
      read: this.read,
      router,
      clock,
      random,
      log,
      tokenSecrets: this.tokens,
      consoleAuthority: CONSOLE_AUTHORITY,
      audit: new AuditTrail(router, clock),
      operations: {
        ...operations(wide),
        cancelMessage: (address) => Promise.resolve(this.#cancelMessage(address)),
      },
      consoles: consoles(wide, { here: this.machine, channels: NO_CHANNELS }),
      tickets: tickets(wide, this.booth),
      sockets: this.sockets,
      hub: new Hub({ node: NODE, history: this.history, clock, ...options.hub }),
      past: this.past,
      usageOf: usageOf(wide),
      monitoring: this.#monitoring(log),
      nodes: {
        ...machines(wide),
        shardOwners: () => [{ shard: 7, node: NODE, epoch: EPOCH }],
        remove: (name) => this.#removeNode(name),
      },
      bytes: machineBytes(wide),
      events: async (address, limit, type) => {
        const rows = await this.past.reader.newest(address, { limit, type });
        return rows.map(({ event }) => event);
      },
    };
    const limits = { ...SERVER_LIMITS, ...options.limits };
    const routes = apiRoutes(this.services);
    this.#answers = new AnswerCheck(routes);
    this.server = apiServer(this.services, routes, limits);
  }

  /** As src/daemon/node-removal.ts does on a store. */
  #removeNode(name: string): Promise<number> {
    if (this.services.members().some((one) => one.node === name)) {
      return Promise.reject(new TroupeError('node/is-member', `node ${name} is a member`));
    }
    const state = this.read.nodes.get(name)?.state;
    const { schema } = node.snapshot;
    if (state !== undefined)
      this.put('node', name, removed(state, this.clock.nowMs()).state, schema);
    return Promise.resolve(this.journal.revision);
  }

  /** As a daemon's that has joined; `metricsAccess` and `unready` may be set. */
  #monitoring(log: Log): Monitoring {
    const { runtime, clock, read } = this;
    const members = null;
    const shardMoves = { taken: 256, givenUp: 0 };
    const cluster = { members, isJoined: true, shardCount: 256, shardMoves, leaseLosses: 0 };
    const metrics = new Metrics(clock);
    const measured = { node: NODE, version: '0.1.0', clock, runtime, cluster, read };
    const usage = () => this.machine.usage();
    const all = monitoringOf({ ...measured, peers: () => [], usage, log }, metrics);
    const notReady = () => [...all.notReady(), ...this.unready];
    return { ...all, notReady, access: () => this.metricsAccess };
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** Whatever is there to call a network or instance off with: always delete. */
  #cancelMessage({ kind, id }: Address): Message | undefined {
    const state = kind === 'instance' ? this.read.instances.get(id)?.state : undefined;
    return state === undefined ? undefined : (instance.passing(state)?.cancel ?? undefined);
  }

  /** A valid token of the tenant. */
  token(tenant: Tenant): string {
    const known = this.#tokens.get(tenant);
    if (known !== undefined) return known;
    const nonce = this.read.namespaces.get(tenant)?.state.keys['key']?.nonce ?? '';
    const claims = { namespace: tenant, keyName: 'key', nonce };
    const token = signToken(this.services.tokenSecrets.signing(), ZONE, claims, this.clock.nowMs());
    this.#tokens.set(tenant, token);
    return token;
  }

  /** After a change of secrets or time. */
  forgetTokens(): void {
    this.#tokens.clear();
  }

  async setKey(tenant: Tenant, secret: string): Promise<void> {
    await this.tell(namespaceRef(tenant), {
      kind: 'set-key',
      name: 'key',
      key: await hashSecret(secret),
    });
  }

  /** Asks an actor, and waits until the API sees it. */
  async tell<M extends Message>(to: Ref<M>, message: NoInfer<M>): Promise<void> {
    const { revision } = await this.services.router.ask(to, message, { trace: 'test' });
    if (revision > 0) await this.read.reached(revision);
  }

  /** Puts an object there as another daemon might have, past its actor. */
  put(kind: string, id: string, state: unknown, schema = 1): void {
    this.journal.put({ kind, id }, schema, state);
    const { revision } = this.journal;
    this.read.apply([{ kind, id, revision, snapshot: { schema, state } }], revision, false);
  }

  call(method: string, path: string, options: CallOptions = {}): Promise<ApiReply> {
    const { as = 'lab', body, raw, headers = {} } = options;
    const payload = raw ?? (body === undefined ? undefined : JSON.stringify(body));
    const sent = {
      ...(as === null ? {} : { Authorization: `Bearer ${this.token(as)}` }),
      ...(payload === undefined ? {} : { 'Content-Length': String(Buffer.byteLength(payload)) }),
      ...headers,
    };
    const where = { host: '127.0.0.1', port: this.port, method, path, headers: sent };
    return new Promise((resolve, reject) => {
      const request = httpRequest({ ...where, agent: this.#agent }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          const { statusCode: status = 0, headers: answered } = response;
          const reply = { status, headers: answered, text, json: parsed(text) };
          try {
            this.#checkAnswer(headers['X-HTTP-Method-Override'] ?? method, path, reply);
            resolve(reply);
          } catch (error) {
            reject(error as Error);
          }
        });
      });
      request.setTimeout(30_000, () => request.destroy(new Error(`${method} ${path}: no answer`)));
      request.on('error', reject);
      request.end(payload);
    });
  }

  #checkAnswer(method: string, path: string, { status, headers, json }: ApiReply): void {
    if (method === 'HEAD' || method === 'OPTIONS') return;
    if (status >= 400) return this.#answers.checkRefusal(method, path, status);
    if (status !== 200) return;
    this.#answers.check(method, path, headers['content-type'] ?? '', json);
  }

  /** As call(), for what has to succeed: the JSON of the answer. */
  async ok<T = View>(method: string, path: string, options: CallOptions = {}): Promise<T> {
    const reply = await this.call(method, path, options);
    if (reply.status !== 200) throw new Error(`${method} ${path}: ${reply.status} ${reply.text}`);
    return reply.json as T;
  }

  /** Waits until GET shows the state. */
  async settled(path: string, state: string, as: Tenant = 'lab'): Promise<View> {
    let view: View = {};
    const isThere = async () => {
      view = await this.ok('GET', path, { as });
      return view['state'] === state;
    };
    await waitUntil(`${path} ${state}`, isThere, 10_000);
    return view;
  }

  /** A network that is ready. */
  async network(body: View = {}, as: Tenant = 'lab'): Promise<View> {
    const made = await this.ok('POST', '/networks', {
      as,
      body: { netblock: '10.0.0.0/24', ...body },
    });
    return this.settled(`/networks/${String(made['uuid'])}`, 'created', as);
  }

  /** The answer to a create of a small instance with a blank disk. */
  instance(body: View = {}, as: Tenant = 'lab'): Promise<View> {
    const smallest = { name: 'web', cpus: 1, memory: 128, disk: [{ size: 1 }] };
    return this.ok('POST', '/instances', { as, body: { ...smallest, ...body } });
  }

  async close(): Promise<void> {
    this.#agent.destroy();
    this.services.hub.close();
    await this.sockets.close();
    await closeServer(this.server, 100);
    await this.runtime.stop();
    this.past.close();
  }
}

/** Listening, with node, floating pool and namespaces. */
export async function openApiWorld(options: ApiWorldOptions = {}): Promise<ApiWorld> {
  const world = new ApiWorld(options);
  const memoryMiB = options.memoryMiB ?? 1_048_576;
  const machine = {
    ...MACHINE,
    vtep: '127.0.0.1',
    mtu: 7950,
    cpus: 64,
    memoryMiB,
    diskGiB: 10_000,
  };
  const gauges = { availableMemoryMiB: memoryMiB, freeDiskGiB: 10_000, load: 0 };
  await world.tell(nodeRef(NODE), { kind: 'register', bootId: BOOT, machine, gauges });
  await world.tell(networkRef(FLOATING), {
    kind: 'create-pool',
    netblock: options.floatingBlock ?? FLOATING_BLOCK,
  });
  for (const [name, secret] of Object.entries(SECRETS)) {
    await world.tell(namespaceRef(name), { kind: 'create' });
    await world.setKey(name as Tenant, secret);
  }
  await new Promise<void>((resolve) => world.server.listen(0, '127.0.0.1', resolve));
  return world;
}

function registerKinds(runtime: Runtime, read: ReadModel, floatingBlock: string): void {
  const claims = new MemoryClaims();
  const vtepOf = () => '127.0.0.1';
  const dns = { zone: ZONE, upstreamDns: '192.0.2.53', floatingBlock };
  runtime.register(node, nodePerformers({ carry: () => Promise.resolve() }));
  runtime.register(namespace, {});
  runtime.register(network, networkPerformers({ claims, vtepOf, ...dns }));
  runtime.register(interfaceKind, interfacePerformers(claims));
  const copies = {
    copies: () => 2,
    patienceMs: 300_000,
    nodes: () => [{ node: NODE, isUp: true, takesMore: true }],
  };
  const fetching = { maxSizeBytes: 2 ** 40, transcodeIdleMs: 86_400_000, fetchTimeoutMs: 10_000 };
  runtime.register(blob, blobPerformers({ ...fetching, claims, ...copies }));
  runtime.register(agentOperation, agentOperationPerformers());
  runtime.register(diskSnapshot, diskSnapshotPerformers());
  runtime.register(artifact, artifactPerformers(claims));
  runtime.register(upload, uploadPerformers());
  const ports = { candidates: (instanceId: string) => candidates(read, instanceId, () => true) };
  runtime.register(instance, instancePerformers({ ...ports, consoleDays: CONSOLE_DAYS }));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // HTML, a console's bytes, nothing.
    return undefined;
  }
}
