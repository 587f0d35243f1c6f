// Entry of the worker thread: one job, then it ends. Bulk bytes are moved and hashed here so that the
// event loop that decides never touches them.
import { parentPort, workerData } from 'node:worker_threads';
import { TroupeError, reasonOf } from '../../../actors/kernel/errors.ts';
import type { FromWorker, Job } from './worker-job.ts';

const PROGRESS_EVERY_MS = 250;

if (parentPort !== null) {
  const port = parentPort;
  const controller = new AbortController();
  // The only message there is: called off.
  port.once('message', () => controller.abort());
  const send = (message: FromWorker) => port.postMessage(message);
  run(workerData as Job, send, controller.signal)
    .then((result) => send({ kind: 'done', result }))
    .catch((error: unknown) => send(failureOf(error)))
    .finally(() => port.close());
}

/** Each job loads only what it needs: most of a short job's time is loading. */
async function run(
  job: Job,
  send: (message: FromWorker) => void,
  signal: AbortSignal,
): Promise<unknown> {
  const progress = throttled((doneBytes, totalBytes) => {
    send({ kind: 'progress', doneBytes, totalBytes });
  });
  switch (job.kind) {
    case 'download': {
      const { download } = await import('./download.ts');
      const notice = (text: string) => send({ kind: 'notice', text });
      return download(job.request, { progress, notice }, signal);
    }
    case 'hash': {
      const { hashFile } = await import('./hash-file.ts');
      return hashFile(job.request, (doneBytes) => progress(doneBytes, null), signal);
    }
  }
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
