// The published `sf-agent` as GuestAgent, over one connection to its virtio-serial port (contract: instances 12.1).
//
// S1  A request is told from others by `unique`; an answer to none, or to one that was given up, is dropped.
// S2  After PING_AFTER_MS of silence it is asked whether it is there; after DEAD_AFTER_MS, or BUSY_DEAD_AFTER_MS while it
//     works for us (an agent that waits for a command answers nothing), the connection ends.
// S3  Whatever ends the connection ends every request with `guest/lost`.
import { randomUUID } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type { AgentSeen } from '../../../actors/instance/state.ts';
import type {
  Executed,
  FileStat,
  GuestAgent,
  GuestFile,
} from '../../../actors/instance/guest-agent.ts';
import type { Clock, Timer } from '../../../actors/kernel/clock.ts';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { ChunkQueue } from './chunk-queue.ts';
import { encodePacket, PacketReader, type SfPacket } from './sf-frame.ts';
import { afterHello, afterRunning, afterStop, UNKNOWN } from './sf-agent-state.ts';

const PING_AFTER_MS = 5_000;
const DEAD_AFTER_MS = 15_000;
const BUSY_DEAD_AFTER_MS = 600_000;
const ASK_RUNNING_EVERY_MS = 30_000;
const SMALL_REQUEST_MS = 60_000;
const CHUNK_BYTES = 96 * 1024;
const MOST_WAITING_BYTES = 4 * 1024 * 1024;

export interface SfAgentOptions {
  readonly socket: Duplex;
  readonly clock: Clock;
  /** What it says of itself has changed. */
  readonly onSeen: (seen: AgentSeen) => void;
  /** The connection is over; nothing comes any more. */
  readonly onEnd: (reason: string) => void;
}

/** Takes the answers to one request. */
interface Pending {
  readonly take: (packet: SfPacket) => void;
  readonly fail: (error: TroupeError) => void;
}

export class SfAgent implements GuestAgent {
  readonly #options: SfAgentOptions;
  readonly #reader = new PacketReader();
  readonly #pending = new Map<string, Pending>();
  #seen: AgentSeen = UNKNOWN;
  #hasSpoken = false;
  #heardAtMono: number;
  #askedAtMono = -Infinity;
  #timer: Timer | undefined;
  #ended: TroupeError | undefined;

  constructor(options: SfAgentOptions) {
    this.#options = options;
    const { socket, clock } = options;
    this.#heardAtMono = clock.monoMs();
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', (error) => this.end(error.message));
    socket.on('close', () => this.end('the channel was closed'));
    this.#askRunning();
    this.#watch();
  }

  /** It has said something on this connection. */
  get hasSpoken(): boolean {
    return this.#hasSpoken;
  }

  /** S3. Idempotent. */
  end(reason: string): void {
    if (this.#ended !== undefined) return;
    const error = new TroupeError('guest/lost', `the agent in the guest is gone: ${reason}`);
    this.#ended = error;
    this.#timer?.cancel();
    this.#options.socket.destroy();
    for (const { fail } of this.#pending.values()) fail(error);
    this.#pending.clear();
    this.#options.onEnd(reason);
  }

  async execute(commandLine: string, signal: AbortSignal): Promise<Executed> {
    const command = 'execute';
    const members = { 'command-line': commandLine, 'block-for-result': true };
    const answer = await this.#ask({ command, ...members }, signal);
    const returnCode = answer['return-code'];
    if (typeof returnCode !== 'number') throw refusedBy(answer);
    const [stdout, stderr] = [textIn(answer, 'stdout'), textIn(answer, 'stderr')];
    return { returnCode, stdout: Buffer.from(stdout), stderr: Buffer.from(stderr) };
  }

  readFile(path: string, signal: AbortSignal): Promise<GuestFile> {
    const { promise, resolve, reject } = Promise.withResolvers<GuestFile>();
    const { socket } = this.#options;
    const unique = randomUUID();
    const done = () => this.#forget(unique);
    const chunks = new ChunkQueue({
      highBytes: MOST_WAITING_BYTES,
      onFull: () => socket.pause(),
      onDrained: () => socket.resume(),
      onGivenUp: done,
    });
    const fail = (error: TroupeError) => {
      done();
      chunks.fail(error);
      reject(error);
    };
    const take = (packet: SfPacket) => {
      if (packet['result'] === false) return fail(refusedBy(packet));
      const { stat_result: stat, chunk } = packet;
      if (isMembers(stat)) return resolve({ stat: fileStat(stat), chunks });
      if (typeof chunk === 'string') return chunks.push(Buffer.from(chunk, 'base64'));
      done();
      chunks.end();
    };
    this.#send({ command: 'get-file', path, unique }, { take, fail }, signal);
    return promise;
  }

  async writeFile(
    path: string,
    content: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void> {
    const unique = randomUUID();
    const about = { command: 'put-file', path, unique };
    const answer = this.#answerTo({ ...about, stat_result: {} }, signal);
    // Who waits for it comes to it only behind the last chunk.
    answer.catch(() => undefined);
    let offset = 0;
    for await (const chunk of content) {
      for (let at = 0; at < chunk.length; at += CHUNK_BYTES) {
        const part = chunk.subarray(at, at + CHUNK_BYTES);
        const text = Buffer.from(part).toString('base64');
        await this.#write({ ...about, offset, encoding: 'base64', chunk: text }, signal);
        offset += part.length;
      }
    }
    await this.#write({ ...about, offset, encoding: 'base64', chunk: null }, signal);
    accepted(await answer);
  }

  async changeMode(path: string, mode: number | string, signal: AbortSignal): Promise<void> {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(SMALL_REQUEST_MS)]);
    accepted(await this.#ask({ command: 'chmod', path, mode }, limit));
  }

  #ask(packet: SfPacket, signal: AbortSignal): Promise<SfPacket> {
    return this.#answerTo({ ...packet, unique: randomUUID() }, signal);
  }

  #answerTo(packet: SfPacket & { readonly unique: string }, signal: AbortSignal) {
    const { promise, resolve, reject } = Promise.withResolvers<SfPacket>();
    const { unique } = packet;
    const settled = (settle: () => void) => {
      this.#forget(unique);
      settle();
    };
    const take = (answer: SfPacket) => settled(() => resolve(answer));
    const fail = (error: TroupeError) => settled(() => reject(error));
    this.#send(packet, { take, fail }, signal);
    return promise;
  }

  #send(
    packet: SfPacket & { readonly unique: string },
    pending: Pending,
    signal: AbortSignal,
  ): void {
    if (this.#ended !== undefined) return pending.fail(this.#ended);
    const { unique } = packet;
    const calledOff = () => {
      const isLate = signal.reason instanceof DOMException && signal.reason.name === 'TimeoutError';
      const late = new TroupeError('guest/lost', `the agent did not answer ${packet.command}`);
      this.#pending
        .get(unique)
        ?.fail(isLate ? late : new TroupeError('actor/stopped', 'called off'));
    };
    this.#pending.set(unique, pending);
    if (signal.aborted) return calledOff();
    signal.addEventListener('abort', calledOff, { once: true });
    this.#options.socket.write(encodePacket(packet));
  }

  /** Waits until it is on its way, so that a guest that does not read holds up who writes. */
  async #write(packet: SfPacket, signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw new TroupeError('actor/stopped', 'called off');
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#options.socket.write(encodePacket(packet), () => resolve());
    await promise;
    if (this.#ended !== undefined) throw this.#ended;
  }

  #forget(unique: string): void {
    this.#pending.delete(unique);
  }

  #receive(chunk: Buffer): void {
    this.#heardAtMono = this.#options.clock.monoMs();
    for (const packet of this.#reader.push(chunk)) this.#take(packet);
  }

  #take(packet: SfPacket): void {
    const { command, unique } = packet;
    const now = this.#options.clock.nowMs();
    this.#hasSpoken = true;
    switch (command) {
      case 'ping':
        return void this.#options.socket.write(encodePacket({ command: 'pong', unique }));
      case 'agent-start':
        this.#see(afterHello(packet, now));
        return this.#askRunning();
      case 'agent-stop':
        return this.#see(afterStop(this.#seen));
      case 'is-system-running-response':
        return this.#see(afterRunning(this.#seen, packet, now));
      default:
        if (typeof unique === 'string') this.#pending.get(unique)?.take(packet);
    }
  }

  #see(seen: AgentSeen): void {
    this.#seen = seen;
    this.#options.onSeen(seen);
  }

  #askRunning(): void {
    this.#askedAtMono = this.#options.clock.monoMs();
    const packet = { command: 'is-system-running', unique: randomUUID() };
    this.#options.socket.write(encodePacket(packet));
  }

  /** S2. */
  #watch(): void {
    const { clock, socket } = this.#options;
    this.#timer = clock.after(PING_AFTER_MS, () => {
      if (this.#ended !== undefined) return;
      const silentMs = clock.monoMs() - this.#heardAtMono;
      const patienceMs = this.#pending.size > 0 ? BUSY_DEAD_AFTER_MS : DEAD_AFTER_MS;
      if (silentMs >= patienceMs) return this.end(`it was silent for ${patienceMs / 1000} s`);
      const isAsked = clock.monoMs() - this.#askedAtMono < ASK_RUNNING_EVERY_MS;
      if (!isAsked && !this.#seen.state.startsWith('ready')) this.#askRunning();
      else if (silentMs >= PING_AFTER_MS) {
        socket.write(encodePacket({ command: 'ping', unique: randomUUID() }));
      }
      this.#watch();
    });
  }
}

function accepted(answer: SfPacket): void {
  if (answer['result'] === false) throw refusedBy(answer);
}

function refusedBy(packet: SfPacket): TroupeError {
  const reason = textIn(packet, 'message') || 'the agent refuses, and does not say why';
  return new TroupeError('guest/refused', reason.slice(0, 1_000));
}

function textIn(packet: Readonly<Record<string, unknown>>, name: string): string {
  const { [name]: value } = packet;
  return typeof value === 'string' ? value : '';
}

function isMembers(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function fileStat(members: Readonly<Record<string, unknown>>): FileStat {
  const number = (name: string) => {
    const { [name]: value } = members;
    return typeof value === 'number' && Number.isFinite(value) ? value : 0;
  };
  return {
    mode: number('mode'),
    size: number('size'),
    uid: number('uid'),
    gid: number('gid'),
    atime: number('atime'),
    mtime: number('mtime'),
    ctime: number('ctime'),
  };
}
