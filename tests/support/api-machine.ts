// What the API's test world has instead of a machine and a store: see api-world.ts.
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { xxhash128 } from 'hash-wasm';
import {
  countingSecrets,
  rotated,
  signingSecret,
  type TokenSecret,
  type TokenSecrets,
} from '../../src/api/identity/token-secrets.ts';
import { systemClock, type Clock } from '../../actors/kernel/clock.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { Json, JsonObject } from '../../actors/kernel/json.ts';
import type { ReplicaFacts } from '../../actors/blob/ports.ts';
import type { SourceVerdict } from '../../actors/artifact/state.ts';
import { formatAddress, type Address, type Message } from '../../actors/kernel/kind.ts';
import type { Claims, EventRecord, StoredSnapshot, TurnWrite } from '../../actors/kernel/ports.ts';
import type { DiskCopies } from '../../actors/instance/ports.ts';
import type { DiskCopier } from '../../actors/node/disk-copying.ts';
import { decodeDomainWish } from '../../actors/node/domain-wish.ts';
import { guestsOf } from '../../src/daemon/guests.ts';
import type { Guests } from '../../src/daemon/machine-service/guests.ts';
import type { PingOutput } from '../../actors/network/ports.ts';
import type { GuestUsage } from '../../src/metrics/instances.ts';
import type { ReadModel } from '../../src/read/read-model.ts';
import { decodeEnvelope, encodeEnvelope } from '../../transport/store/codec.ts';
import { clusterKeys } from '../../transport/store/keys.ts';
import { SimAgent } from './sim-agent.ts';
import { MemoryJournal } from './kernel.ts';
import type { MemoryHistory } from './memory-history.ts';

/** Real timers; the wall clock can be moved. */
export class ShiftedClock implements Clock {
  shiftMs = 0;
  nowMs = () => systemClock.nowMs() + this.shiftMs;
  monoMs = () => systemClock.monoMs();
  after = (delayMs: number, run: () => void) => systemClock.after(delayMs, run);
}

/** Keeps what the real store would keep, and tells the read model of each write, a turn later and in order. */
export class FedJournal extends MemoryJournal {
  model: ReadModel | undefined;
  /** Of each node. */
  readonly histories: MemoryHistory[] = [];
  /** What was written, when it is. */
  onCommit: ((write: TurnWrite, revision: number) => void) | undefined;
  #isHeld = false;
  #waiting: (() => void)[] = [];

  override async commit(write: TurnWrite): Promise<number> {
    const { kind, id } = write.address;
    const snapshot = asStored(write);
    const revision = await super.commit(write);
    this.onCommit?.(write, revision);
    this.#waiting.push(() => {
      this.model?.apply([{ kind, id, revision, snapshot }], revision, false);
      for (const history of this.histories) history.record(write, revision);
    });
    setImmediate(() => this.#deliver());
    return revision;
  }

  /** Keeps the read model behind until the function returned is called. */
  hold(): () => void {
    this.#isHeld = true;
    return () => {
      this.#isHeld = false;
      this.#deliver();
    };
  }

  #deliver(): void {
    if (this.#isHeld) return;
    for (const tell of this.#waiting.splice(0)) tell();
  }
}

const KEYS = clusterKeys('test');

/** The snapshot as it comes back from etcd. Errors: what the real journal refuses, `store/too-large` above all. */
function asStored({
  address: { kind },
  snapshot,
  index: { after },
}: TurnWrite): StoredSnapshot | null {
  if (after !== null && after.name !== '') KEYS.name(after.namespace, kind, after.name, 'id');
  if (snapshot === null) return null;
  const decoded = decodeEnvelope(encodeEnvelope(snapshot));
  if (decoded.ok) return decoded.envelope;
  throw new TroupeError('store/bad-value', decoded.reason);
}

export class MemoryClaims implements Claims {
  readonly #held = new Map<string, string>();

  claim(space: string, value: string, owner: Address): Promise<boolean> {
    const key = `${space}/${value}`;
    const holder = this.#held.get(key) ?? formatAddress(owner);
    this.#held.set(key, holder);
    return Promise.resolve(holder === formatAddress(owner));
  }

  holder(space: string, value: string): Promise<string | null> {
    return Promise.resolve(this.#held.get(`${space}/${value}`) ?? null);
  }

  release(space: string, value: string, owner: Address): Promise<void> {
    const key = `${space}/${value}`;
    if (this.#held.get(key) === formatAddress(owner)) this.#held.delete(key);
    return Promise.resolve();
  }
}

/** As src/daemon/token-keeper.ts keeps them in the store. */
export class MemorySecrets implements TokenSecrets {
  readonly #nowMs: () => number;
  #all: TokenSecret[] = [
    { secret: Buffer.from('a secret of this test alone'), signsFromMs: 0, countsUntilMs: null },
  ];

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  signing(): Uint8Array {
    return signingSecret(this.#all, this.#nowMs())?.secret ?? new Uint8Array();
  }

  accepted(): readonly Uint8Array[] {
    return countingSecrets(this.#all, this.#nowMs()).map(({ secret }) => secret);
  }

  rotate(isAtOnce: boolean): Promise<void> {
    this.#all = rotated(this.#all, randomBytes(32), { nowMs: this.#nowMs(), isAtOnce });
    return Promise.resolve();
  }
}

/** The disks of the machine: what is spooled there, and what has become a replica, in memory. */
export class MemoryFiles {
  readonly spooled = new Map<string, Buffer>();
  readonly replicas = new Map<string, Buffer>();
  /** What writing throws, if anything. */
  failure: Error | undefined;

  readonly spool = {
    write: async (id: string, offset: number, bytes: Uint8Array) => {
      if (this.failure !== undefined) throw this.failure;
      const before = this.spooled.get(id) ?? Buffer.alloc(0);
      if (offset > before.length) throw new TroupeError('api/conflict', 'a hole');
      const fresh = bytes.subarray(Math.min(bytes.length, before.length - offset));
      const after = Buffer.concat([before, fresh]);
      this.spooled.set(id, after);
      return after.length;
    },
    resize: async (id: string, sizeBytes: number) => {
      const after = Buffer.alloc(sizeBytes);
      this.spooled.get(id)?.copy(after);
      this.spooled.set(id, after);
    },
    size: async (id: string) => this.spooled.get(id)?.length ?? null,
    remove: async (id: string) => void this.spooled.delete(id),
  };

  /** Copies of disks are their paths. */
  readonly copier: DiskCopier = {
    staged: (where, signal, work) =>
      work(
        where.blobIds.map((blobId) => `${where.instanceId}/.copy-${blobId}`),
        signal,
      ),
    copyDisk: async () => undefined,
    sizeOf: async () => 1,
    measure: async (path) => path.length,
    flatten: async (path, blobId) => void this.spooled.set(blobId, Buffer.from(path)),
    thin: async (path, baseBlobId, blobId) =>
      void this.spooled.set(blobId, Buffer.from(`${path} over ${baseBlobId}`)),
    keep: async (path, blobId) => void this.spooled.set(blobId, Buffer.from(path)),
  };

  /** As of bytes that an older version kept: found out when it is asked for. */
  async describe(blobId: string): Promise<ReplicaFacts> {
    const bytes = this.replicas.get(blobId);
    if (bytes === undefined) throw new TroupeError('image/missing', `no replica of ${blobId}`);
    const of = (algorithm: string) => createHash(algorithm).update(bytes).digest('hex');
    const hashes = { sha1: of('sha1'), sha256: of('sha256'), xxh128: await xxhash128(bytes) };
    const none = { clusterBytes: null, compat: null, compression: null, extendedL2: null };
    return { ...hashes, diskBytes: bytes.length, ...none };
  }

  /** What servers say of what was fetched from them. */
  verdict: SourceVerdict = { verdict: 'same' };
  readonly checked: string[] = [];

  /** One machine alone: nobody reads from another. */
  readonly exports = { serve: () => Promise.reject(new TroupeError('image/unreachable', 'alone')) };
  readonly reads = {
    announce: () => Promise.reject(new TroupeError('image/unreachable', 'alone')),
  };

  async checkSource({ url }: { readonly url: string }): Promise<SourceVerdict> {
    this.checked.push(url);
    return this.verdict;
  }

  async checkFile(path: string): Promise<SourceVerdict> {
    this.checked.push(path);
    return this.verdict;
  }

  async open(blobId: string) {
    const bytes = this.replicas.get(blobId);
    if (bytes === undefined) throw new TroupeError('image/missing', `no replica of ${blobId}`);
    return {
      sizeBytes: bytes.length,
      read: async (into: Uint8Array, position: number) => void bytes.copy(into, 0, position),
      close: async () => undefined,
    };
  }

  /** What the machine reports of the spooled bytes once they are a replica. */
  take(blobId: string, id: string): Json {
    const bytes = this.spooled.get(id);
    if (bytes === undefined) throw new TroupeError('image/refused', 'bring them again');
    this.spooled.delete(id);
    this.replicas.set(blobId, bytes);
    const hash = (algorithm: string) => createHash(algorithm).update(bytes).digest('hex');
    return {
      ...(REPLICA as JsonObject),
      sizeBytes: bytes.length,
      sourceSizeBytes: bytes.length,
      sha512: hash('sha512'),
      sourceSha256: hash('sha256'),
      sourceFormat: bytes[0] === 0x1f && bytes[1] === 0x8b ? 'gzip' : 'raw',
      format: 'raw',
      mimeType: 'application/octet-stream',
      virtualSizeBytes: bytes.length,
    };
  }
}

type Want = Message & { readonly spec: Record<string, unknown> | null };

/** The machine: whatever is wanted is there at once, or fails as told. */
export class FakeMachine {
  /** Asked first; throws, or waits, in place of the machine. */
  before: (resource: string, spec: Want['spec']) => void | Promise<void> = () => undefined;
  readonly consoles = new Map<string, string>();
  hasSpice = true;
  readonly usageEvents = new Map<string, EventRecord[]>();
  /** What asking for them throws, if anything. */
  usageFailure: Error | undefined;
  /** What libvirt would count of its guests. */
  usage: () => Promise<readonly GuestUsage[]> = () => Promise.resolve([]);
  readonly files = new MemoryFiles();
  /** SHA-512 of what is fetched; null: each address has something of its own. */
  content: string | null = null;
  /** What reading a console throws, if anything. */
  consoleFailure: Error | undefined;
  /** What guests that are expected to have an agent say of it. */
  agentState: string | null = null;
  readonly agents = new Map<string, SimAgent>();
  /** What QEMU does with disks that are to be copied. */
  copyDisks: (copies: DiskCopies) => Promise<void> = () => Promise.resolve();
  /** The screens of guests; a guest without one does not run. */
  readonly screens = new Map<string, Buffer>();

  async handle({ id }: Address, message: Message): Promise<Json> {
    const [, resource = '', blobId = ''] = id.split('/');
    const { spec } = message as Want;
    await this.before(resource, spec);
    if (spec === null) return null;
    if (resource === 'segment') return { bridge: 'br0', mtu: 7950 };
    if (resource === 'domain') return domainReport(spec, this.agentState);
    const source = spec['source'] as { kind: string; id?: string } | undefined;
    if (source?.kind === 'spool') return this.files.take(blobId, source.id ?? '');
    if (resource === 'replica') this.files.replicas.set(blobId, Buffer.alloc(FETCHED_BYTES));
    const own = createHash('sha512')
      .update(JSON.stringify(source ?? null))
      .digest('hex');
    return { ...(REPLICA as JsonObject), sha512: this.content ?? own };
  }

  /** What reaches into its guests: the daemon's own, over these. */
  guests(boot: string, clock: Clock): Guests {
    const screenshot = async (instanceId: string) => {
      const image = this.screens.get(instanceId);
      if (image !== undefined) return { mime: 'image/x-portable-pixmap', image };
      throw new TroupeError('object/wrong-phase', 'it does not run');
    };
    const copyDisks = (copies: DiskCopies) => this.copyDisks(copies);
    const hypervisor = { screenshot, copyDisks, agentOf: (id: string) => this.agentOf(id) };
    return guestsOf({ boot, hypervisor, images: this.files, clock, log: () => undefined });
  }

  agentOf(instanceId: string): SimAgent {
    const agent = this.agents.get(instanceId) ?? new SimAgent();
    this.agents.set(instanceId, agent);
    return agent;
  }

  ping(networkId: string, address: string): Promise<PingOutput> {
    const stdout = `PING ${address} in ${networkId}\n10 packets transmitted, 10 received, 0% packet loss\n`;
    return Promise.resolve({ stdout, stderr: '' });
  }

  readConsole(id: string, length: number): Promise<Uint8Array> {
    if (this.consoleFailure !== undefined) return Promise.reject(this.consoleFailure);
    const text = this.consoles.get(id) ?? '';
    return Promise.resolve(Buffer.from(length < 0 ? text : text.slice(-length)));
  }

  /** Whatever is asked for. */
  screenKind(vdi: string): 'vnc' | 'spice' {
    return this.hasSpice && vdi !== 'vnc' ? 'spice' : 'vnc';
  }

  usageOf(id: string): readonly EventRecord[] {
    if (this.usageFailure !== undefined) throw this.usageFailure;
    return this.usageEvents.get(id) ?? [];
  }

  clearConsole(id: string): Promise<void> {
    this.consoles.delete(id);
    return Promise.resolve();
  }

  /** Ends of the consoles that are open: what is written there is read by who opened. */
  readonly lines: { readonly id: string; readonly which: string; readonly guest: Duplex }[] = [];

  async openConsole(id: string, which: string): Promise<Duplex> {
    if (this.consoleFailure !== undefined) throw this.consoleFailure;
    const { host, guest } = await socketPair();
    this.lines.push({ id, which, guest });
    return host;
  }
}

/** Two ends of a connection. */
async function socketPair(): Promise<{ readonly host: Socket; readonly guest: Socket }> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const host = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [guest] = await accepted;
  server.close();
  guest.on('error', () => guest.destroy());
  return { host, guest };
}

const FETCHED_BYTES = 4_096;
const REPLICA: Json = {
  sizeBytes: FETCHED_BYTES,
  sha512: 'ab'.repeat(64),
  sourceSizeBytes: FETCHED_BYTES,
  sourceSha256: 'cd'.repeat(32),
  sourceFormat: 'qcow2',
  format: 'qcow2',
  mimeType: 'application/x-qemu-disk',
  virtualSizeBytes: 1_048_576,
  etag: null,
  lastModified: null,
};

function domainReport(spec: Record<string, unknown>, agentState: string | null): Json {
  const { power, sideChannels, video } = decodeDomainWish(spec);
  const vdiTlsPort = video.vdi === 'vnc' ? null : 31_003;
  const isOff = power === 'off';
  const ports = isOff
    ? { consolePort: null, vdiPort: null, vdiTlsPort: null }
    : { consolePort: 31_001, vdiPort: 31_002, vdiTlsPort };
  const offReason = isOff ? 'requested' : null;
  const hasAgent = power === 'on' && sideChannels.includes('sf-agent') && agentState !== null;
  const said = { state: agentState ?? '', startedAtMs: 1_726_000_190_110, bootedAtMs: null };
  const agent = hasAgent ? said : null;
  const observed = { power, offReason, ...ports, accelerator: 'tcg', agent };
  const { disks, configDrive } = decodeDomainWish(spec);
  const builtDisks: Json[] = disks.map(({ device, bus, media, sizeGiB, baseBlobId: blobId }) => {
    return { device, bus, sizeGiB, blobId, snapshotIgnores: media === 'cdrom' };
  });
  if (configDrive !== null) {
    const { device, bus } = configDrive;
    builtDisks.splice(1, 0, { device, bus, sizeGiB: null, blobId: null, snapshotIgnores: true });
  }
  return { observed, builtDisks };
}

/** A failure of the machine, as its drivers report one. */
export function refusedByMachine(reason: string): TroupeError {
  return new TroupeError('hypervisor/refused', reason);
}
