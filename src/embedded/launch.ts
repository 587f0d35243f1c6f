// Starting a service so that it outlives this daemon, is found again, and runs once only.
//
// S1  The service's own process takes an exclusive lock before it becomes the service, and holds it
//     to its end: a second one with the same record cannot run, whatever files were lost.
// S2  It writes its own record (pid, start time, digest of how it was started) before it becomes the
//     service: killing the daemon at any point leaves no service without a record.
// S3  A session of its own, no terminal, files instead of pipes: neither Ctrl-C nor the end of the
//     daemon reaches it.
import { spawn } from 'node:child_process';
import { closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { reasonOf, TroupeError } from '../../actors/kernel/errors.ts';
import { isAlive, type ProcessIdentity } from './process-identity.ts';
import { rotateLog } from './rotate-log.ts';

export interface Launch {
  /** Where the service records itself; its lock is beside it. */
  readonly recordPath: string;
  readonly logPath: string;
  /** Stored in the record, so that a later daemon can tell whether it would start it the same way. */
  readonly digest: string;
  readonly command: readonly string[];
  /** Programs around the service, such as `unshare --mount`; they end by running what follows. */
  readonly within: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export interface ServiceRecord extends ProcessIdentity {
  readonly digest: string;
}

const RECORD_DEADLINE_MS = 10_000;
const LOCKED = 75;
const NOT_FOUND = 127;

// Arguments: the record's path, the digest, the command. Descriptor 9 takes the lock along into the
// service. The process is called `(sh)` while it reads its stat, whose fields so split at spaces.
const BECOME_SERVICE = `set -eu
record=$1 digest=$2; shift 2
command -v "$1" >/dev/null || exit ${NOT_FOUND}
exec 9>"$record.lock"
flock -n 9 || exit ${LOCKED}
read -r stat <"/proc/$$/stat"
(set -- $stat; echo "$1 \${22} $digest") >"$record.new"
mv "$record.new" "$record"
exec "$@"
`;

/** What the record says, whether or not that process still runs; undefined when there is none. */
export function readRecord(path: string): ServiceRecord | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    // ENOENT: never started, or stopped in order.
    return undefined;
  }
  const [pid = '', startTicks = '', digest = ''] = text.trim().split(' ');
  return /^\d+$/.test(pid) && startTicks !== ''
    ? { pid: Number(pid), startTicks, digest }
    : undefined;
}

/**
 * Starts the service and resolves once it is recorded, which is before it is ready. Errors:
 * `host/locked` when one runs already, `host/tool-missing`, `host/tool-failed`, `host/timeout`.
 */
export async function launch(service: Launch): Promise<ServiceRecord> {
  rotateLog(service.logPath);
  const before = readRecord(service.recordPath);
  const become = ['sh', '-c', BECOME_SERVICE, 'become', service.recordPath, service.digest];
  const [program = '', ...args] = [...service.within, ...become, ...service.command];
  const logFile = openSync(service.logPath, 'a', 0o600);
  const child = spawn(program, args, {
    cwd: '/',
    detached: true,
    stdio: ['ignore', logFile, logFile],
    env: { ...service.env },
  });
  closeSync(logFile);
  const ended = new Promise<Ended>((resolve) => {
    child.once('error', (cause) => resolve({ code: null, cause }));
    child.once('exit', (code) => resolve({ code, cause: undefined }));
  });
  child.unref();
  const recorded = untilRecorded(service.recordPath, before);
  const outcome = await Promise.race([recorded.record, ended]);
  recorded.cancel();
  if ('pid' in outcome) return outcome;
  // It may have recorded itself and ended between two looks.
  throw launchFailure(service, outcome);
}

interface Ended {
  readonly code: number | null;
  readonly cause: Error | undefined;
}

function untilRecorded(path: string, before: ServiceRecord | undefined) {
  const deadlineAtMono = performance.now() + RECORD_DEADLINE_MS;
  let timer: NodeJS.Timeout;
  const record = new Promise<ServiceRecord>((resolve, reject) => {
    const look = () => {
      const found = readRecord(path);
      const isNew = found?.pid !== before?.pid || found?.startTicks !== before?.startTicks;
      if (found !== undefined && isNew && isAlive(found)) return resolve(found);
      if (performance.now() < deadlineAtMono) {
        timer = setTimeout(look, 5);
        return;
      }
      const message = `the service did not come as far as writing ${path} in ${RECORD_DEADLINE_MS} ms`;
      reject(new TroupeError('host/timeout', message, { path }));
    };
    look();
  });
  // Whoever lost the race has nothing to say any more.
  record.catch(() => undefined);
  return { record, cancel: () => clearTimeout(timer) };
}

function launchFailure(service: Launch, ended: Ended): TroupeError {
  const program = service.command[0] ?? '';
  const detail = { program, ...(ended.code === null ? {} : { exit: ended.code }) };
  if (ended.code === LOCKED) {
    const message = `another ${program} holds ${service.recordPath}.lock; deploy/clean.sh ends what a killed daemon left`;
    return new TroupeError('host/locked', message, detail);
  }
  const isMissing = ended.cause !== undefined || ended.code === NOT_FOUND;
  if (isMissing) {
    const message = `${program} is not installed; npm start installs what is missing`;
    return new TroupeError('host/tool-missing', message, detail, ended.cause);
  }
  return new TroupeError(
    'host/tool-failed',
    `${program} ended with ${ended.code ?? 'a signal'} as it started: ${lastWords(service.logPath)}`,
    detail,
  );
}

/** The end of a log, for an error message: at most 600 characters, whole lines. Never throws. */
export function lastWords(logPath: string): string {
  try {
    const lines = readEnd(logPath, 2048).trim().split('\n');
    while (lines.length > 1 && lines.join('\n').length > 600) lines.shift();
    return lines.join('\n').slice(-600) || `nothing in ${logPath}`;
  } catch (error) {
    return `${logPath} cannot be read (${reasonOf(error)})`;
  }
}

function readEnd(path: string, bytes: number): string {
  const file = openSync(path, 'r');
  try {
    const buffer = Buffer.alloc(bytes);
    const start = Math.max(0, fstatSync(file).size - bytes);
    return buffer.toString('utf8', 0, readSync(file, buffer, 0, bytes, start));
  } finally {
    closeSync(file);
  }
}
