// Runs one job on a worker thread of its own, from the daemon's side.
//
// K1  The promise settles only when the thread is gone: nothing writes to a file after its job has ended.
// K2  A job that does not heed being called off within GRACE_MS is cut off with its thread.
import { Worker } from 'node:worker_threads';
import { TroupeError, type Detail, type ErrorCode } from '../../../actors/kernel/errors.ts';
import { calledOff } from './called-off.ts';
import type { Downloaded, DownloadRequest } from './download.ts';
import type { FollowRequest } from './follow-hash.ts';
import type { Hashed, HashRequest } from './hash-file.ts';

export type Job =
  | { readonly kind: 'download'; readonly request: DownloadRequest }
  | { readonly kind: 'hash'; readonly request: HashRequest }
  | { readonly kind: 'follow'; readonly request: FollowRequest };

export type FromWorker =
  | { readonly kind: 'progress'; readonly doneBytes: number; readonly totalBytes: number | null }
  | { readonly kind: 'notice'; readonly text: string }
  | { readonly kind: 'done'; readonly result: unknown }
  | {
      readonly kind: 'failed';
      readonly code: ErrorCode;
      readonly message: string;
      readonly detail: Detail;
    };

export interface JobShell {
  readonly signal: AbortSignal;
  readonly onProgress: (doneBytes: number, totalBytes: number | null) => void;
  readonly onNotice?: (text: string) => void;
  /** Called once the thread can be told something (WorkerShell.onTold). */
  readonly onStart?: (tell: (message: object) => void) => void;
}

const GRACE_MS = 5_000;
/** Bytes that pass through are freed sooner by many small collections than by few that look at everything. */
const LIMITS = { maxYoungGenerationSizeMb: 2 };

/** Downloads on a thread of its own; see download() for what it refuses. */
export async function downloadApart(
  request: DownloadRequest,
  shell: JobShell,
): Promise<Downloaded> {
  return (await runJob(ENTRY, { kind: 'download', request }, shell)) as Downloaded;
}

/** Hashes on a thread of its own. */
export async function hashApart(request: HashRequest, shell: JobShell): Promise<Hashed> {
  return (await runJob(ENTRY, { kind: 'hash', request }, shell)) as Hashed;
}

/** Hashes a file that is still being written on a thread of its own; hex. */
export async function followApart(request: FollowRequest, shell: JobShell): Promise<string> {
  return (await runJob(ENTRY, { kind: 'follow', request }, shell)) as string;
}

/** The compiled package has .js files where the checkout has .ts ones. */
const ENTRY = new URL(
  import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js',
  import.meta.url,
);

/** Starts a thread whose entry calls serveJob(); resolves to the job's result. */
export function runJob(
  entry: URL,
  job: { readonly kind: string; readonly request: unknown },
  shell: JobShell,
): Promise<unknown> {
  const { signal, onProgress, onNotice, onStart } = shell;
  if (signal.aborted) return Promise.reject(calledOff());
  return new Promise((resolve, reject) => {
    const worker = new Worker(entry, { workerData: job, resourceLimits: LIMITS });
    onStart?.((message) => worker.postMessage(message));
    let settle = () => reject(new TroupeError('host/tool-failed', `the ${job.kind} thread died`));
    let cutOff: NodeJS.Timeout | undefined;
    const onAbort = () => {
      worker.postMessage('stop');
      settle = () => reject(calledOff());
      cutOff = setTimeout(() => void worker.terminate(), GRACE_MS);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    worker.on('message', (message: FromWorker) => {
      switch (message.kind) {
        case 'progress':
          return onProgress(message.doneBytes, message.totalBytes);
        case 'notice':
          return onNotice?.(message.text);
        case 'done':
          settle = () => resolve(message.result);
          return;
        case 'failed':
          settle = () => reject(new TroupeError(message.code, message.message, message.detail));
      }
    });
    worker.on('error', (cause) => {
      settle = () =>
        reject(new TroupeError('host/tool-failed', `the ${job.kind} thread died`, {}, cause));
    });
    worker.on('exit', () => {
      clearTimeout(cutOff);
      signal.removeEventListener('abort', onAbort);
      settle();
    });
  });
}
