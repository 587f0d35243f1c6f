// The process of the `troupe` command: its streams, its signals, its exit code.
import { homedir } from 'node:os';
import { dirname } from 'node:path';
import { runCli } from './run.ts';

const POLL_MS = 500;
/** From the default of the daemon's own setting data-dir. */
const SYSTEM_DIRECTORY = '/var/lib/troupe';
const SHAKEN_FIST = '/etc/sf/shakenfist.json';

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    // The second time nothing is waited for any more.
    if (stop.signal.aborted) process.exit(130);
    stop.abort();
  });
}
for (const stream of [process.stdout, process.stderr]) {
  // Who reads us has had enough, as `| head` does: that is no failure.
  stream.on('error', (error: NodeJS.ErrnoException) =>
    process.exit(error.code === 'EPIPE' ? 0 : 1),
  );
}

const exitCode = await runCli(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  stdin: process.stdin,
  variables: process.env,
  directory: process.cwd(),
  home: homedir(),
  checkout: dirname(dirname(import.meta.dirname)),
  systemDirectory: SYSTEM_DIRECTORY,
  shakenFist: SHAKEN_FIST,
  signal: stop.signal,
  pollMs: POLL_MS,
});
// A request that nobody waits for any more must not hold the process; what was printed must be out.
process.stdout.write('', () => process.exit(exitCode));
