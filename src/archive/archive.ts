// An archive as the daemon sees it: never in the way of the event loop.
//
// A1  The file is worked on in a thread: a commit now and then takes 20 to 80 ms (a checkpoint's fsync), the check of a large
//     file seconds (measured on SSD, 300,000 events). What answers within a lease's margin must not wait for that.
// A2  Calls are carried out one after another. A thread that has died is started again by the next call; what it was asked
//     fails with `host/tool-failed`, and nothing is lost but the answer: the cursor says what has been recorded.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { isErrorCode, reasonOf, TroupeError } from '../../actors/kernel/errors.ts';
import type { Json } from '../../actors/kernel/json.ts';
import { ArchiveFile, type ArchiveFileOptions } from './archive-file.ts';
import type { ArchiveMessage } from './archive-message.ts';

type Method =
  | 'record'
  | 'advance'
  | 'fill'
  | 'narrowGaps'
  | 'goneSince'
  | 'flush'
  | 'sweep'
  | 'restart'
  | 'answer';
type Later<F> = F extends (...args: infer A) => infer R ? (...args: A) => Promise<R> : never;

/** What ArchiveFile does, each call later. Errors of all: `host/*`; of record() also `store/bad-value`. */
export type Archive = { readonly [M in Method]: Later<ArchiveFile[M]> } & {
  /** Opens the file where that has not been done; resolves to where it stands. */
  open(): Promise<Standing>;
  close(): Promise<void>;
};

export interface Standing {
  readonly cursor: number;
  /** Why the file that was there has been set aside by this opening; null: it has not. */
  readonly setAside: string | null;
}

/** One call, as it goes to the thread. */
export interface Call {
  readonly seq: number;
  readonly method: Method | 'open';
  readonly args: readonly unknown[];
}

export type Outcome =
  | { readonly seq: number; readonly value: unknown }
  | { readonly seq: number; readonly code: string; readonly message: string };

const ENTRY = new URL('./archive-thread.ts', import.meta.url);

/** In the turn of the call: for tests and simulation. */
export function archiveHere(options: ArchiveFileOptions): Archive {
  let file: ArchiveFile | null = null;
  const opened = () => (file ??= new ArchiveFile(options));
  return archiveOf(
    (method, args) => inThisTurn(opened, method, args),
    () => {
      file?.close();
      file = null;
      return Promise.resolve();
    },
  );
}

/** A file that outlives its daemons: as on a disk, what a dead one still asks is neither done nor answered. */
export function archiveOver(file: ArchiveFile, isAlive: () => boolean): Archive {
  return archiveOf(
    (method, args) => (isAlive() ? inThisTurn(() => file, method, args) : new Promise(() => {})),
    () => Promise.resolve(),
  );
}

function inThisTurn(
  opened: () => ArchiveFile,
  method: Call['method'],
  args: readonly unknown[],
): Promise<unknown> {
  try {
    return Promise.resolve(perform(opened(), method, args));
  } catch (error) {
    return Promise.reject(explained(error, 'in memory'));
  }
}

/** In a thread of its own. */
export function archiveInThread(options: ArchiveFileOptions): Archive {
  const thread = new ArchiveThread(options);
  return archiveOf(
    (method, args) => thread.call(method, args),
    () => thread.close(),
  );
}

type Caller = (method: Call['method'], args: readonly unknown[]) => Promise<unknown>;

function archiveOf(call: Caller, close: () => Promise<void>): Archive {
  const later =
    <M extends Method>(method: M) =>
    (...args: readonly unknown[]) =>
      call(method, args);
  return {
    open: () => call('open', []) as Promise<Standing>,
    record: later('record') as Archive['record'],
    advance: later('advance') as Archive['advance'],
    fill: later('fill') as Archive['fill'],
    narrowGaps: later('narrowGaps') as Archive['narrowGaps'],
    goneSince: later('goneSince') as Archive['goneSince'],
    flush: later('flush') as Archive['flush'],
    sweep: later('sweep') as Archive['sweep'],
    restart: later('restart') as Archive['restart'],
    answer: later('answer') as Archive['answer'],
    close,
  };
}

/** What the thread does with a call. Throws what the file throws. */
export function perform(
  file: ArchiveFile,
  method: Call['method'],
  args: readonly unknown[],
): unknown {
  if (method === 'open') {
    const standing: Standing = { cursor: file.cursor, setAside: file.takeSetAside() };
    return standing;
  }
  const run = file[method] as (...given: readonly unknown[]) => unknown;
  return run.call(file, ...args);
}

class ArchiveThread {
  readonly #options: ArchiveFileOptions;
  readonly #pending = new Map<number, PromiseWithResolvers<unknown>>();
  #worker: Worker | null = null;
  #lastSeq = 0;
  #isClosed = false;

  constructor(options: ArchiveFileOptions) {
    this.#options = options;
  }

  call(method: Call['method'], args: readonly unknown[]): Promise<unknown> {
    if (this.#isClosed) return Promise.reject(gone('it is closed'));
    const worker = (this.#worker ??= this.#start());
    const seq = ++this.#lastSeq;
    const answer = Promise.withResolvers<unknown>();
    this.#pending.set(seq, answer);
    // The process does not end in the midst of a call.
    worker.ref();
    const call: Call = { seq, method, args };
    worker.postMessage(call);
    return answer.promise;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const worker = this.#worker;
    if (worker === null) return;
    const exited = once(worker, 'exit');
    worker.ref();
    // It closes the file and ends, after the calls before.
    worker.postMessage(null);
    await exited;
  }

  #start(): Worker {
    const worker = new Worker(ENTRY, { workerData: this.#options });
    worker.unref();
    let reason = 'it has ended';
    worker.on('message', (outcome: Outcome) => this.#settle(outcome));
    worker.on('error', (error) => {
      reason = reasonOf(error);
    });
    worker.on('exit', () => {
      if (this.#worker === worker) this.#worker = null;
      const pending = [...this.#pending.values()];
      this.#pending.clear();
      for (const one of pending) one.reject(gone(reason));
    });
    return worker;
  }

  #settle(outcome: Outcome): void {
    const answer = this.#pending.get(outcome.seq);
    this.#pending.delete(outcome.seq);
    if (this.#pending.size === 0) this.#worker?.unref();
    if (answer === undefined) return;
    if ('value' in outcome) return answer.resolve(outcome.value);
    const { code, message } = outcome;
    answer.reject(new TroupeError(isErrorCode(code) ? code : 'host/tool-failed', message));
  }
}

function gone(reason: string): TroupeError {
  return new TroupeError('host/tool-failed', `the archive's thread did not answer: ${reason}`);
}

const SQLITE_FULL = 13;

/** An error of the file with a code of ours. */
export function explained(error: unknown, path: string): TroupeError {
  if (error instanceof TroupeError) return error;
  const errcode = error instanceof Error && 'errcode' in error ? Number(error.errcode) : 0;
  const message = `the archive ${path}: ${reasonOf(error)}`;
  const isFull = (errcode & 0xff) === SQLITE_FULL;
  return new TroupeError(isFull ? 'host/disk-full' : 'host/tool-failed', message, { path }, error);
}

/** Asks one archive. */
export type AskArchive = (message: ArchiveMessage) => Promise<Json>;
