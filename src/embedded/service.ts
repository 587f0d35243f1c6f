// Keeps one service of this machine's data directory running: adopts what an earlier daemon left,
// starts it otherwise, starts it again when it ends, ends it when asked.
//
// V1  A running service that was started the same way, from the same program file, is adopted as it
//     is; any other is ended first.
// V2  Ready is what ready() says within a deadline, never a pause. A service that cannot become ready
//     is ended again: nothing is left half started.
// V3  One that ends by itself is started again, with a back-off that doubles to BACKOFF_LIMIT_MS and
//     begins anew once it has held for STEADY_MS. Each end is one log line.
// V4  stop() ends exactly the recorded process, SIGTERM before SIGKILL, and resolves when it is gone.
import { createHash } from 'node:crypto';
import { readlinkSync, rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, reasonOf, TroupeError } from '../../actors/kernel/errors.ts';
import type { Log } from '../../actors/kernel/ports.ts';
import { lastWords, launch, readRecord, type ServiceRecord } from './launch.ts';
import { endProcess, isAlive } from './process-identity.ts';

export interface ServiceSpec {
  /** Names its record, its log and itself in messages. */
  readonly name: string;
  readonly runDirectory: string;
  readonly logDirectory: string;
  /** Whose it is; put into its environment, where the audit and deploy/clean.sh find it. */
  readonly dataDirectory: string;
  /** The program and its arguments, from what prepare() last decided. */
  command(): readonly string[];
  /** Called before every start (not before an adoption): writes files, chooses ports. */
  prepare(): Promise<void>;
  /** Programs around it (Launch.within). */
  readonly within?: readonly string[];
  /** One try: resolves when it serves, throws when not yet. Aborted at the deadline. */
  ready(signal: AbortSignal): Promise<void>;
  readonly readyTimeoutMs: number;
  readonly stopTimeoutMs: number;
}

/** In the environment of every service: the data directory it belongs to. */
export const OWNER_VARIABLE = 'TROUPE_SERVICE_OF';
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

const FIRST_BACKOFF_MS = 100;
const BACKOFF_LIMIT_MS = 10_000;
const STEADY_MS = 30_000;
const WATCH_INTERVAL_MS = 200;
const READY_INTERVAL_MS = 20;

export interface Service {
  /** The process now running; undefined between an end and the next start. */
  readonly pid: number | undefined;
  /** Whether it was found running rather than started. */
  readonly isAdopted: boolean;
  /** Ends it for good. Idempotent. */
  stop(): Promise<void>;
  /** Leaves it running, for the next daemon to adopt. */
  release(): Promise<void>;
}

/**
 * Brings a service up and keeps it up until stop(). Rejects when it does not become ready the first
 * time: `host/tool-missing`, `host/tool-failed`, `host/timeout`, `host/locked`.
 */
export async function startService(spec: ServiceSpec, log: Log): Promise<Service> {
  const service = new SupervisedService(spec, log);
  await service.start();
  return service;
}

class SupervisedService implements Service {
  readonly #spec: ServiceSpec;
  readonly #log: Log;
  readonly #stopping = new AbortController();
  #running: ServiceRecord | undefined;
  #isAdopted = false;
  #backoffMs = FIRST_BACKOFF_MS;
  #supervision: Promise<void> = Promise.resolve();

  constructor(spec: ServiceSpec, log: Log) {
    this.#spec = spec;
    this.#log = log;
  }

  get pid(): number | undefined {
    return this.#running?.pid;
  }

  get isAdopted(): boolean {
    return this.#isAdopted;
  }

  async start(): Promise<void> {
    await this.#bringUp();
    this.#supervision = this.#supervise();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#supervision;
    const record = this.#running ?? readRecord(this.#recordPath);
    if (record !== undefined) await endProcess(record, this.#spec.stopTimeoutMs);
    this.#running = undefined;
    for (const suffix of ['', '.lock', '.new']) rmSync(this.#recordPath + suffix, { force: true });
  }

  async release(): Promise<void> {
    this.#stopping.abort();
    await this.#supervision;
  }

  get #recordPath(): string {
    return join(this.#spec.runDirectory, `${this.#spec.name}.service`);
  }

  get #logPath(): string {
    return join(this.#spec.logDirectory, `${this.#spec.name}.log`);
  }

  async #bringUp(): Promise<void> {
    const found = readRecord(this.#recordPath);
    if (found !== undefined && isAlive(found)) {
      if (this.#isAsPlanned(found) && (await this.#adopt(found))) return;
      await endProcess(found, this.#spec.stopTimeoutMs);
    }
    const { name, dataDirectory, within = [] } = this.#spec;
    await this.#makeDirectories();
    await this.#spec.prepare();
    this.#running = await launch({
      recordPath: this.#recordPath,
      logPath: this.#logPath,
      digest: this.#digest(),
      command: this.#spec.command(),
      within,
      env: { PATH, LC_ALL: 'C', HOME: '/root', [OWNER_VARIABLE]: dataDirectory },
    });
    this.#isAdopted = false;
    await this.#untilReady(this.#running);
    this.#log('info', `${name} is up`, { service: name, pid: this.#running.pid });
  }

  #isAsPlanned(found: ServiceRecord): boolean {
    return found.digest === this.#digest() && !isProgramReplaced(found.pid);
  }

  #digest(): string {
    const { within = [] } = this.#spec;
    const how = JSON.stringify([within, this.#spec.command()]);
    return createHash('sha256').update(how).digest('hex').slice(0, 16);
  }

  async #makeDirectories(): Promise<void> {
    for (const directory of [this.#spec.runDirectory, this.#spec.logDirectory])
      await mkdir(directory, { recursive: true, mode: 0o700 });
  }

  async #adopt(found: ServiceRecord): Promise<boolean> {
    const { name } = this.#spec;
    this.#running = found;
    try {
      await this.#untilReady(found);
    } catch (error) {
      const fields = { service: name, pid: found.pid, reason: reasonOf(error) };
      this.#log('warn', `${name} of an earlier run does not answer and is started anew`, fields);
      return false;
    }
    this.#isAdopted = true;
    this.#log('info', `${name} of an earlier run goes on`, { service: name, pid: found.pid });
    return true;
  }

  /** V2. Ends the process when it does not become ready. */
  async #untilReady(process: ServiceRecord): Promise<void> {
    const { name, readyTimeoutMs, stopTimeoutMs } = this.#spec;
    const signal = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(readyTimeoutMs)]);
    let reason = 'nothing was tried';
    while (isAlive(process) && !signal.aborted) {
      try {
        await this.#spec.ready(signal);
        return;
      } catch (error) {
        reason = reasonOf(error);
      }
      await pause(READY_INTERVAL_MS, signal);
    }
    const hasEnded = !isAlive(process);
    await endProcess(process, stopTimeoutMs);
    this.#running = undefined;
    if (this.#stopping.signal.aborted) throw new TroupeError('actor/stopped', `${name} is stopped`);
    const detail = { service: name, log: this.#logPath };
    if (!hasEnded) {
      const message = `${name} did not answer within ${readyTimeoutMs} ms (${reason}); see ${this.#logPath}`;
      throw new TroupeError('host/timeout', message, detail);
    }
    const message = `${name} ended as it started: ${lastWords(this.#logPath)}`;
    throw new TroupeError('host/tool-failed', message, detail);
  }

  /** V3. Ends only with stop(). */
  async #supervise(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const upAtMono = performance.now();
      while (!signal.aborted && this.#running !== undefined && isAlive(this.#running))
        await pause(WATCH_INTERVAL_MS, signal, true);
      if (signal.aborted) return;
      if (performance.now() - upAtMono > STEADY_MS) this.#backoffMs = FIRST_BACKOFF_MS;
      await this.#restart(signal);
    }
  }

  async #restart(signal: AbortSignal): Promise<void> {
    const { name } = this.#spec;
    const waitMs = this.#backoffMs;
    this.#backoffMs = Math.min(waitMs * 2, BACKOFF_LIMIT_MS);
    const fields = { service: name, pid: this.#running?.pid, lastWords: lastWords(this.#logPath) };
    if (this.#running !== undefined)
      this.#log('error', `${name} has ended and is started again in ${waitMs} ms`, fields);
    this.#running = undefined;
    await pause(waitMs, signal, true);
    if (signal.aborted) return;
    try {
      await this.#bringUp();
    } catch (error) {
      const failure = { service: name, code: codeOf(error), reason: reasonOf(error) };
      if (!signal.aborted) this.#log('error', `${name} does not start`, failure);
    }
  }
}

/** A package upgrade replaces the file a process runs from: its next start is the new program. */
function isProgramReplaced(pid: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/exe`).endsWith(' (deleted)');
  } catch {
    // It ended in between.
    return true;
  }
}

/** Waits; returns early when aborted. In the background it does not keep this process alive. */
function pause(ms: number, signal: AbortSignal, inBackground = false): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    if (inBackground) timer.unref();
    signal.addEventListener('abort', end, { once: true });
  });
}
