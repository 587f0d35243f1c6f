// Entry of an archive's thread: opens the file at the first call, and carries calls out one by one until told to end.
import { parentPort, workerData } from 'node:worker_threads';
import { ArchiveFile, type ArchiveFileOptions } from './archive-file.ts';
import { explained, perform, type Call, type Outcome } from './archive.ts';

const options = workerData as ArchiveFileOptions;
let file: ArchiveFile | null = null;

parentPort?.on('message', (call: Call | null) => {
  if (call !== null) return parentPort?.postMessage(carryOut(call));
  file?.close();
  parentPort?.close();
});

function carryOut({ seq, method, args }: Call): Outcome {
  try {
    file ??= new ArchiveFile(options);
    return { seq, value: perform(file, method, args) };
  } catch (error) {
    const { code, message } = explained(error, options.path);
    return { seq, code, message };
  }
}
