// A process for tests to kill: starts the embedded services of the data directory given, says so, and
// lives until it is killed, as a daemon does. Run as a program: embedded-daemon.ts DATA-DIR.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { startEmbedded } from '../../src/embedded/embedded.ts';
import { lockDataDirectory } from '../../src/embedded/data-lock.ts';
import { configOf } from './installation.ts';

const UP = 'services are up';

/** Starts it and resolves when its services are up. */
export async function spawnDaemon(dataDir: string): Promise<ChildProcess> {
  const child = spawn(
    'setpriv',
    ['--pdeathsig', 'KILL', process.execPath, import.meta.filename, dataDir],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const said = once(child.stdout, 'data');
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`the daemon ended with ${String(code)} before its services were up`);
  });
  ended.catch(() => undefined);
  await Promise.race([said, ended]);
  return child;
}

if (import.meta.main) {
  const config = configOf(process.argv[2] ?? '');
  lockDataDirectory(config.dataDir);
  await startEmbedded(config, 'test', () => undefined);
  console.log(UP);
  setInterval(() => undefined, 3_600_000);
}
