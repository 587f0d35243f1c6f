// Keeps log files bounded over many runs: one that has grown large is set aside before a run begins.
import { existsSync, renameSync, statSync } from 'node:fs';

const LOG_LIMIT_BYTES = 16 * 1024 * 1024;
/** Kept of each log as `.1` (the latest) to `.3`. */
const KEPT = 3;

/** Between two runs only: who has the file open goes on writing to it under its new name. */
export function rotateLog(path: string): void {
  const sizeBytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (sizeBytes <= LOG_LIMIT_BYTES) return;
  for (let number = KEPT; number > 1; number--) {
    const [older, newer] = [`${path}.${number}`, `${path}.${number - 1}`];
    if (existsSync(newer)) renameSync(newer, older);
  }
  renameSync(path, `${path}.1`);
}
