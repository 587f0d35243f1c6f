// What the API's test world has instead of a machine and a store: see api-world.ts.
import { duplexPair, type Duplex } from 'node:stream';
import { systemClock, type Clock } from '../../actors/kernel/clock.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { Json } from '../../actors/kernel/json.ts';
import type { Address, Message } from '../../actors/kernel/kind.ts';
import type { Claims, StoredSnapshot, TurnWrite } from '../../actors/kernel/ports.ts';
import { decodeDomainWish } from '../../actors/node/domain-wish.ts';
import type { ReadModel } from '../../src/read/read-model.ts';
import { decodeEnvelope, encodeEnvelope } from '../../transport/store/codec.ts';
import { clusterKeys } from '../../transport/store/keys.ts';
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
  #isHeld = false;
  #waiting: (() => void)[] = [];

  override async commit(write: TurnWrite): Promise<number> {
    const { kind, id } = write.address;
    const snapshot = asStored(write);
    const revision = await super.commit(write);
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
    const holder = this.#held.get(key) ?? owner.id;
    this.#held.set(key, holder);
    return Promise.resolve(holder === owner.id);
  }

  release(space: string, value: string): Promise<void> {
    this.#held.delete(`${space}/${value}`);
    return Promise.resolve();
  }
}

type Want = Message & { readonly spec: Record<string, unknown> | null };

/** The machine: whatever is wanted is there at once, or fails as told. */
export class FakeMachine {
  /** Asked first; throws, or waits, in place of the machine. */
  before: (resource: string, spec: Want['spec']) => void | Promise<void> = () => undefined;
  readonly consoles = new Map<string, string>();
  /** What reading a console throws, if anything. */
  consoleFailure: Error | undefined;

  async handle({ id }: Address, message: Message): Promise<Json> {
    const resource = id.split('/')[1] ?? '';
    const { spec } = message as Want;
    await this.before(resource, spec);
    if (spec === null) return null;
    if (resource === 'segment') return { bridge: 'br0', mtu: 7950 };
    return resource === 'domain' ? domainReport(spec) : REPLICA;
  }

  readConsole(id: string, length: number): Promise<Uint8Array> {
    if (this.consoleFailure !== undefined) return Promise.reject(this.consoleFailure);
    const text = this.consoles.get(id) ?? '';
    return Promise.resolve(Buffer.from(length < 0 ? text : text.slice(-length)));
  }

  clearConsole(id: string): Promise<void> {
    this.consoles.delete(id);
    return Promise.resolve();
  }

  /** Ends of the consoles that are open: what is written there is read by who opened. */
  readonly lines: { readonly id: string; readonly which: string; readonly guest: Duplex }[] = [];

  openConsole(id: string, which: string): Promise<Duplex> {
    if (this.consoleFailure !== undefined) return Promise.reject(this.consoleFailure);
    const [host, guest] = duplexPair();
    this.lines.push({ id, which, guest });
    guest.on('error', () => undefined);
    return Promise.resolve(host);
  }
}

const REPLICA: Json = {
  sizeBytes: 4_096,
  sha512: 'ab'.repeat(64),
  sourceSizeBytes: 4_096,
  sourceSha256: 'cd'.repeat(32),
  sourceFormat: 'qcow2',
  format: 'qcow2',
  mimeType: 'application/x-qemu-disk',
  virtualSizeBytes: 1_048_576,
  etag: null,
  lastModified: null,
};

function domainReport(spec: Record<string, unknown>): Json {
  const { power } = decodeDomainWish(spec);
  const ports = { consolePort: 31_001, vdiPort: 31_002, vdiTlsPort: null };
  const offReason = power === 'off' ? 'requested' : null;
  const observed = { power, offReason, ...ports, accelerator: 'tcg' };
  const { disks, configDrive } = decodeDomainWish(spec);
  const builtDisks: Json[] = disks.map(({ device, bus, sizeGiB, baseBlobId: blobId }) => {
    return { device, bus, sizeGiB, blobId, snapshotIgnores: false };
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
