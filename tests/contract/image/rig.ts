// A real image driver on a directory of its own, real ledger and real tools, for one test file.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import type { ReplicaProgress, ReplicaSpec } from '../../../actors/blob/ports.ts';
import type { WantedBy } from '../../../actors/network/ports.ts';
import { ImageDriver, type ImageDriverOptions } from '../../../src/drivers/image/driver.ts';
import { exec } from '../../../src/drivers/exec.ts';
import { Ledger } from '../../../src/drivers/ledger.ts';

const TAG = 'troupe-image-';

export const OPEN_POLICY = { refuse: [], allow: [] };
/** Impatient, so that a test of patience takes no time; never asserted on. */
export const QUICK_TIMING = {
  answerTimeoutMs: 2_000,
  stallTimeoutMs: 400,
  stallBytes: 1024,
  maxAttempts: 3,
  retryDelayMs: 5,
};

export interface Rig {
  readonly dir: string;
  readonly driver: ImageDriver;
  readonly ledger: Ledger;
  readonly progress: ReplicaProgress[];
  readonly logged: string[];
  ensure(
    blobId: string,
    source: string,
    change?: Partial<ReplicaSpec>,
    by?: WantedBy,
  ): ReturnType<ImageDriver['ensureReplica']>;
  /** A daemon that starts on the same directory, the old one having been killed. */
  restart(): Promise<Rig>;
  close(): Promise<void>;
}

/** Where test files are made; swept of what killed runs left. */
export function scratch(): string {
  for (const name of readdirSync(tmpdir())) {
    const pid = name.startsWith(TAG) ? Number(name.slice(TAG.length).split('-')[0]) : NaN;
    if (!Number.isNaN(pid) && !isAlive(pid)) {
      rmSync(join(tmpdir(), name), { recursive: true, force: true });
    }
  }
  const dir = mkdtempSync(join(tmpdir(), `${TAG}${process.pid}-`));
  process.on('exit', () => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

export async function makeRig(dir: string, change: Partial<ImageDriverOptions> = {}): Promise<Rig> {
  const ledger = new Ledger(`${dir}.ledger`);
  const progress: ReplicaProgress[] = [];
  const logged: string[] = [];
  const driver = new ImageDriver({
    exec,
    ledger,
    log: (_level, message, fields) => logged.push(`${message} ${JSON.stringify(fields)}`),
    dir,
    limits: { minFreeBytes: 0 },
    fetchPolicy: OPEN_POLICY,
    timing: QUICK_TIMING,
    ...change,
  });
  await driver.start();
  return {
    dir,
    driver,
    ledger,
    progress,
    logged,
    ensure: (blobId, source, spec = {}, by = wantedBy(`blob/${blobId}`)) =>
      driver.ensureReplica(
        {
          blobId,
          source: source.startsWith('/')
            ? { kind: 'file', path: source }
            : { kind: 'url', url: source },
          maxSizeBytes: 2 ** 30,
          sha512: null,
          ...spec,
        },
        by,
        (step) => progress.push(step),
      ),
    restart: () => makeRig(dir, change),
    close: async () => {
      await driver.close();
      ledger.close();
    },
  };
}

export function wantedBy(
  owner: string,
  change: { generation?: number; signal?: AbortSignal } = {},
): WantedBy {
  const [kind = '', id = ''] = owner.split('/');
  const { generation = 1, signal = new AbortController().signal } = change;
  return { owner: { kind, id }, epoch: 1, generation, trace: 'trace-1', signal };
}

/** Every path below a directory, relative, sorted. */
export function tree(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' }).sort();
}

/** Runs a tool that makes test input; throws when it fails. */
export function tool(program: string, ...args: string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
