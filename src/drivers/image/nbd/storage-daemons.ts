// The qemu-storage-daemons of this machine. Each has a name; its arguments say all that it does, so that it is never
// told anything: what is to be otherwise is another process.
//
// S1  They outlive the daemon that started them and are found again by their command line, which names their own pid
//     file: a pid alone may be anybody's.
// S2  They only read, so they are ended by SIGKILL and leave nothing but the files named here.
import { mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { TroupeError } from '../../../../actors/kernel/errors.ts';
import type { Exec } from '../../exec.ts';

const COMMAND = 'qemu-storage-daemon';
const START_TIMEOUT_MS = 20_000;
const END_POLL_MS = 5;
const END_POLLS = 400;

export class StorageDaemons {
  /** Short: paths of sockets in it have at most 107 bytes. */
  readonly dir: string;
  readonly #exec: Exec;

  constructor(exec: Exec, dir: string) {
    this.#exec = exec;
    this.dir = dir;
  }

  /** Resolves once it serves. Errors: `host/tool-missing`, `host/tool-failed` in its own words, `host/timeout`. */
  async start(name: string, args: readonly string[], trace: string): Promise<void> {
    mkdirSync(this.dir, { recursive: true, mode: 0o700 });
    const words = ['--daemonize', '--pidfile', this.#pidFile(name), ...args];
    await this.#exec(COMMAND, words, { trace, timeoutMs: START_TIMEOUT_MS });
    if (this.pidOf(name) !== undefined) return;
    throw new TroupeError('host/tool-failed', `${COMMAND} ${name} ended right after its start`);
  }

  pidOf(name: string): number | undefined {
    const pid = Number(readText(this.#pidFile(name)).trim());
    return pid > 0 && pidFileOf(pid) === this.#pidFile(name) ? pid : undefined;
  }

  /** Every one that runs, also such as nobody knows of any more. */
  running(): string[] {
    const [head, tail] = [`${this.dir}/`, '.pid'];
    return readdirSync('/proc')
      .filter((entry) => /^[0-9]+$/.test(entry))
      .flatMap((entry) => {
        const file = pidFileOf(Number(entry)) ?? '';
        const isOurs = file.startsWith(head) && file.endsWith(tail);
        return isOurs ? [file.slice(head.length, -tail.length)] : [];
      });
  }

  /** How many connections it has, those of its clients and those to others. */
  connections(name: string): number {
    const pid = this.pidOf(name);
    if (pid === undefined) return 0;
    const inodes = new Set(socketsOf(pid));
    const rows = ['tcp', 'tcp6'].flatMap((file) =>
      readText(`/proc/${pid}/net/${file}`).split('\n'),
    );
    return rows.filter((row) => {
      const [, , , state, , , , , , inode = ''] = row.trim().split(/\s+/);
      return state === ESTABLISHED && inodes.has(inode);
    }).length;
  }

  /** Resolves when it has ended. Quiet when there is none. */
  async end(name: string): Promise<void> {
    const pid = this.pidOf(name);
    if (pid !== undefined) kill(pid);
    for (let poll = 0; poll < END_POLLS && this.pidOf(name) !== undefined; poll++) {
      await delay(END_POLL_MS);
    }
    rmSync(this.#pidFile(name), { force: true });
  }

  #pidFile(name: string): string {
    return join(this.dir, `${name}.pid`);
  }
}

/** As /proc/net/tcp has it. */
const ESTABLISHED = '01';

/** Inodes of its sockets. */
function socketsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      const found = /^socket:\[(\d+)\]$/.exec(readLink(`/proc/${pid}/fd/${fd}`))?.[1];
      return found === undefined ? [] : [found];
    });
  } catch {
    // It has ended.
    return [];
  }
}

function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    // Closed meanwhile.
    return '';
  }
}

/** What follows --pidfile in the command line of a qemu-storage-daemon; undefined for any other process. */
function pidFileOf(pid: number): string | undefined {
  const words = readText(`/proc/${pid}/cmdline`).split('\0');
  if (!words[0]?.endsWith(COMMAND)) return undefined;
  const at = words.indexOf('--pidfile');
  return at < 0 ? undefined : words[at + 1];
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // There is no such file, or process (any more).
    return '';
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    // ESRCH: it has just ended.
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}
