// The guests that come with Troupe, built from Debian's packages by deploy/guest and kept in the data directory.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Config } from '../config.ts';
import { exec } from '../drivers/exec.ts';

const SCRIPTS = fileURLToPath(new URL('../../deploy/guest/', import.meta.url));
/** Downloading Debian's packages over a slow line takes its time. */
const BUILD_TIMEOUT_MS = 1_200_000;

/** Kernel and initrd of the tiny guest that shows how this machine runs guests. */
export interface ProbeImages {
  readonly kernel: string;
  readonly initrd: string;
}

type Directories = Pick<Config, 'dataDir' | 'cacheDir'>;

/** Builds the probe's guest, or finds it as built before. Errors: those of exec(). */
export async function buildProbe(
  dirs: Directories,
  trace: string,
  signal?: AbortSignal,
): Promise<ProbeImages> {
  const folder = join(dirs.dataDir, 'guest', 'probe');
  await build('build-probe.sh', folder, dirs, { trace, signal });
  return { kernel: join(folder, 'vmlinuz'), initrd: join(folder, 'initrd') };
}

/** Builds the small guest of tour and tests; resolves to its path. Errors: those of exec(). */
export async function buildGuest(
  dirs: Directories,
  trace: string,
  signal?: AbortSignal,
): Promise<string> {
  const path = join(dirs.dataDir, 'guest', 'guest.qcow2');
  await build('build.sh', path, dirs, { trace, signal });
  return path;
}

async function build(
  script: string,
  output: string,
  dirs: Directories,
  { trace, signal }: { readonly trace: string; readonly signal: AbortSignal | undefined },
): Promise<void> {
  const env = { TROUPE_CACHE: dirs.cacheDir };
  const options = { trace, timeoutMs: BUILD_TIMEOUT_MS, env, ...(signal && { signal }) };
  await exec('sh', [join(SCRIPTS, script), output], options);
}
