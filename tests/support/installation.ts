// A data directory of a test's own, with the tag and run directory that go with it.
//
// N1  Whatever was started under it is ended by remove(): processes, mounts, namespaces, devices, rules.
// N2  What killed tests left is removed by the next test that asks for one (the name has the pid).
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { codeOf } from '../../actors/kernel/errors.ts';
import type { Log } from '../../actors/kernel/ports.ts';
import { readConfig, type Config } from '../../src/config.ts';
import { removeLeftovers } from '../../src/embedded/leftovers.ts';

const PREFIX = 'troupe-test-';

export interface TestInstallation extends Config {
  /** Log lines so far, as `level message`. */
  readonly lines: readonly string[];
  readonly log: Log;
  /** Ends and removes all of it. */
  remove(): Promise<void>;
}

/** A fresh installation; `flags` are the daemon's. */
export async function makeInstallation(flags: readonly string[] = []): Promise<TestInstallation> {
  await sweep();
  const dataDir = mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`));
  const lines: string[] = [];
  return {
    ...configOf(dataDir, flags),
    lines,
    log: (level, message) => lines.push(`${level} ${message}`),
    remove: () => removeInstallation(dataDir),
  };
}

/** The configuration of a data directory, as a daemon that is given it would have it. */
export function configOf(dataDir: string, flags: readonly string[] = []): Config {
  return readConfig({ flags: ['--data-dir', dataDir, ...flags], variables: {}, directory: '/' });
}

async function removeInstallation(dataDir: string): Promise<void> {
  await removeLeftovers(configOf(dataDir));
  rmSync(dataDir, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
}

/** Removes what dead tests left. A daemon of one that was killed just now may still be ending: the next sweep finds it. */
async function sweep(): Promise<void> {
  for (const name of readdirSync(tmpdir())) {
    const pid = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`))
      await removeInstallation(join(tmpdir(), name)).catch(unlessLocked);
  }
}

function unlessLocked(error: unknown): void {
  if (codeOf(error) !== 'host/locked') throw error;
}
