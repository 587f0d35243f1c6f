// The QEMU guest agent as GuestAgent: commands in its own words, given by a function that brings them there.
//
// Q1  No shell of this machine is involved. The guest's is, for `execute`, whose line is meant for it; paths are arguments
//     behind `--`.
// Q2  A file that was opened in the guest is closed, also when the transfer is broken off.
import { setTimeout as delay } from 'node:timers/promises';
import type {
  Executed,
  FileStat,
  GuestAgent,
  GuestFile,
} from '../../../actors/instance/guest-agent.ts';
import { TroupeError } from '../../../actors/kernel/errors.ts';

/** Gives a command to the agent; resolves to its `return`. Errors: `guest/refused`, `guest/lost`, `actor/stopped`. */
export type AgentCall = (
  execute: string,
  args: Readonly<Record<string, unknown>>,
  signal?: AbortSignal,
) => Promise<unknown>;

/** The agent takes a request in by four KiB: what is larger takes a slow guest longer than it is waited for. */
const READ_BYTES = 96 * 1024;
const WRITE_BYTES = 48 * 1024;
/** Between two looks whether a process has ended. */
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 2_000;
const FILE_TYPE = 0o170_000;
const REGULAR_FILE = 0o100_000;
const STAT_FORMAT = '%f %s %u %g %X %Y %Z';
const MAX_PROC_STAT_BYTES = 1024 * 1024;

export class QemuAgent implements GuestAgent {
  readonly #call: AgentCall;

  constructor(call: AgentCall) {
    this.#call = call;
  }

  async ping(signal?: AbortSignal): Promise<void> {
    await this.#call('guest-ping', {}, signal);
  }

  /** When the guest's kernel started, ms since the epoch; null when it does not say. */
  async bootedAtMs(signal?: AbortSignal): Promise<number | null> {
    try {
      let text = '';
      for await (const chunk of this.#read('/proc/stat', signal)) {
        text += Buffer.from(chunk).toString('latin1');
        if (text.length > MAX_PROC_STAT_BYTES) break;
      }
      const seconds = Number(/^btime (\d{1,12})$/m.exec(text)?.[1] ?? NaN);
      return Number.isFinite(seconds) ? seconds * 1000 : null;
    } catch (error) {
      // A guest without /proc, or whose agent may not read files: nothing depends on it.
      if (error instanceof TroupeError && error.code === 'guest/refused') return null;
      throw error;
    }
  }

  async execute(commandLine: string, signal: AbortSignal): Promise<Executed> {
    return await this.#run('/bin/sh', ['-c', commandLine], signal);
  }

  async readFile(path: string, signal: AbortSignal): Promise<GuestFile> {
    const stat = await this.#stat(path, signal);
    if ((stat.mode & FILE_TYPE) !== REGULAR_FILE) throw refused('path is not a file');
    return { stat, chunks: this.#read(path, signal) };
  }

  async writeFile(
    path: string,
    content: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void> {
    const handle = await this.#open(path, 'w', signal);
    try {
      for await (const chunk of content) await this.#write(handle, chunk, signal);
      await this.#call('guest-file-flush', { handle }, signal);
    } finally {
      await this.#close(handle);
    }
  }

  async changeMode(path: string, mode: number | string, signal: AbortSignal): Promise<void> {
    const permissions = typeof mode === 'number' ? (mode & 0o7777).toString(8) : mode;
    const { returnCode, stderr } = await this.#run('chmod', ['--', permissions, path], signal);
    if (returnCode !== 0) throw refused(Buffer.from(stderr).toString().trim() || 'chmod failed');
  }

  async #run(path: string, args: readonly string[], signal: AbortSignal): Promise<Executed> {
    const command = { path, arg: args, 'capture-output': true };
    const started = membersOf(await this.#call('guest-exec', command, signal));
    const pid = numberIn(started, 'pid');
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
      const status = membersOf(await this.#call('guest-exec-status', { pid }, signal));
      if (status['exited'] === true) return executed(status);
      await pause(pauseMs, signal);
    }
  }

  async #stat(path: string, signal: AbortSignal): Promise<FileStat> {
    const args = ['-L', '-c', STAT_FORMAT, '--', path];
    const { returnCode, stdout } = await this.#run('stat', args, signal);
    if (returnCode !== 0) throw refused('path does not exist');
    const [hex = '', ...decimals] = Buffer.from(stdout).toString().trim().split(' ');
    const [size = NaN, uid = NaN, gid = NaN, atime = NaN, mtime = NaN, ctime = NaN] =
      decimals.map(Number);
    const stat = { mode: parseInt(hex, 16), size, uid, gid, atime, mtime, ctime };
    if (Object.values(stat).every(Number.isSafeInteger)) return stat;
    throw refused('the guest has no stat that says what a file is');
  }

  async *#read(path: string, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    const handle = await this.#open(path, 'r', signal);
    try {
      for (;;) {
        const args = { handle, count: READ_BYTES };
        const reply = membersOf(await this.#call('guest-file-read', args, signal));
        const bytes = bytesIn(reply, 'buf-b64');
        if (bytes.length > 0) yield bytes;
        if (reply['eof'] === true || bytes.length === 0) return;
      }
    } finally {
      await this.#close(handle);
    }
  }

  async #write(handle: number, chunk: Uint8Array, signal: AbortSignal): Promise<void> {
    for (let at = 0; at < chunk.length;) {
      const part = chunk.subarray(at, at + WRITE_BYTES);
      const args = { handle, 'buf-b64': Buffer.from(part).toString('base64') };
      const reply = membersOf(await this.#call('guest-file-write', args, signal));
      const count = numberIn(reply, 'count');
      if (!(count > 0 && count <= part.length)) throw refused('the guest takes no more bytes');
      at += count;
    }
  }

  async #open(path: string, mode: 'r' | 'w', signal?: AbortSignal): Promise<number> {
    const handle = await this.#call('guest-file-open', { path, mode }, signal);
    if (typeof handle === 'number') return handle;
    throw refused('the agent gave no handle for the file');
  }

  /** Q2: also when called off, so without the signal. An agent that is gone has closed everything. */
  async #close(handle: number): Promise<void> {
    await this.#call('guest-file-close', { handle }).catch(() => undefined);
  }
}

/** A process that a signal ended has that as a negative number, as everywhere. */
function executed(status: Readonly<Record<string, unknown>>): Executed {
  const { exitcode, signal } = status;
  const returnCode = typeof exitcode === 'number' ? exitcode : -Number(signal ?? 0);
  const [stdout, stderr] = [bytesIn(status, 'out-data'), bytesIn(status, 'err-data')];
  return { returnCode, stdout, stderr };
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, { signal });
  } catch (error) {
    throw new TroupeError('actor/stopped', 'called off', {}, error);
  }
}

function refused(reason: string): TroupeError {
  return new TroupeError('guest/refused', reason);
}

function membersOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null) return { ...value };
  throw refused('the agent answered what is no answer');
}

function numberIn(reply: Readonly<Record<string, unknown>>, name: string): number {
  const { [name]: value } = reply;
  if (typeof value === 'number') return value;
  throw refused(`the agent answered without ${name}`);
}

function bytesIn(reply: Readonly<Record<string, unknown>>, name: string): Buffer {
  const { [name]: value } = reply;
  return Buffer.from(typeof value === 'string' ? value : '', 'base64');
}
