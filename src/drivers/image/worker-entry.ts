// What the entry of a worker thread does for its one job: takes the calling-off, sends progress, notices and the
// outcome, and ends the thread.
import { parentPort, workerData } from 'node:worker_threads';
import { TroupeError, reasonOf } from '../../../actors/kernel/errors.ts';
import type { FromWorker } from './worker-job.ts';

const PROGRESS_EVERY_MS = 250;

/** What a job is given besides its request. */
export interface WorkerShell {
  readonly signal: AbortSignal;
  readonly progress: (doneBytes: number, totalBytes: number | null) => void;
  readonly notice: (text: string) => void;
  /** Who is called with what the thread is told meanwhile (JobShell.onStart). */
  readonly onTold: (take: (message: unknown) => void) => void;
}

/** Call it once, from the entry; does nothing on the main thread. `run` gets what the thread was started with. */
export function serveJob(run: (job: unknown, shell: WorkerShell) => Promise<unknown>): void {
  if (parentPort === null) return;
  const port = parentPort;
  const controller = new AbortController();
  let take = (_message: unknown) => {};
  port.on('message', (message) => (message === 'stop' ? controller.abort() : take(message)));
  const send = (message: FromWorker) => port.postMessage(message);
  const shell = {
    signal: controller.signal,
    progress: throttled((doneBytes, totalBytes) =>
      send({ kind: 'progress', doneBytes, totalBytes }),
    ),
    notice: (text: string) => send({ kind: 'notice', text }),
    onTold: (taker: (message: unknown) => void) => void (take = taker),
  };
  run(workerData, shell)
    .then((result) => send({ kind: 'done', result }))
    .catch((error: unknown) => send(failureOf(error)))
    .finally(() => port.close());
}

function failureOf(error: unknown): FromWorker {
  if (error instanceof TroupeError) {
    const { code, message, detail } = error;
    return { kind: 'failed', code, message, detail };
  }
  return { kind: 'failed', code: 'host/tool-failed', message: reasonOf(error), detail: {} };
}

type Progress = (doneBytes: number, totalBytes: number | null) => void;

function throttled(report: Progress): Progress {
  let reportedAtMono = -Infinity;
  return (doneBytes, totalBytes) => {
    const isEnd = doneBytes === totalBytes;
    if (!isEnd && performance.now() - reportedAtMono < PROGRESS_EVERY_MS) return;
    reportedAtMono = performance.now();
    report(doneBytes, totalBytes);
  };
}
