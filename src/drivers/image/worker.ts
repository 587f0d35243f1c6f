// Entry of the worker thread: one job, then it ends. Bulk bytes are moved and hashed here so that the
// event loop that decides never touches them.
import { serveJob, type WorkerShell } from './worker-entry.ts';
import type { Job } from './worker-job.ts';

serveJob((job, shell) => run(job as Job, shell));

/** Each job loads only what it needs: most of a short job's time is loading. */
async function run(job: Job, { signal, progress, notice }: WorkerShell): Promise<unknown> {
  switch (job.kind) {
    case 'download': {
      const { download } = await import('./download.ts');
      return download(job.request, { progress, notice }, signal);
    }
    case 'hash': {
      const { hashFile } = await import('./hash-file.ts');
      return hashFile(job.request, (doneBytes) => progress(doneBytes, null), signal);
    }
    case 'follow': {
      const { followHash } = await import('./follow-hash.ts');
      return followHash(job.request, signal);
    }
  }
}
