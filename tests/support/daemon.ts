// A whole daemon as its operator starts it, in a data directory of the test's own.
//
// The daemon ends in order when the test process dies (SIGTERM); what a killed one leaves is removed with the
// installation, by this test or by the next.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ApiError } from '../../src/client/api-error.ts';
import { Client, type View } from '../../src/client/client.ts';
import { makeInstallation, type TestInstallation } from './installation.ts';
import { waitUntil } from './wait.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** Debian's packages for the guests, shared by all runs on this machine. */
export const CACHE = join(ROOT, '.troupe', 'cache');
const START_MS = 120_000;
/** On the screen once it serves. */
export const SERVING = 'Press Ctrl-C to stop';

export interface RunningDaemon {
  readonly process: ChildProcess;
  /** What it has shown so far. */
  screen(): string;
  /** Resolves with its exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
  /** Ends it as Ctrl-C does; resolves with its exit code. */
  interrupt(): Promise<number | NodeJS.Signals>;
  kill(): Promise<void>;
}

/** An installation whose daemons listen on a free port. */
export async function daemonInstallation(): Promise<
  TestInstallation & { readonly flags: string[] }
> {
  const flags = [
    '--api-port',
    String(await freePort()),
    '--cache-dir',
    CACHE,
    '--fetch-allow',
    '127.0.0.1',
  ];
  // Not the default: that may be a developer's own `npm start`, or another test's.
  flags.push('--floating-block', `10.250.${process.pid % 256}.0/24`);
  return { ...(await makeInstallation(flags)), flags };
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** Starts a daemon; does not wait for anything. */
export function startDaemon(
  installation: { readonly dataDir: string; readonly flags: readonly string[] },
  more: readonly string[] = [],
): RunningDaemon {
  const args = ['src/main.ts', '--data-dir', installation.dataDir, ...installation.flags, ...more];
  const child = spawn('setpriv', ['--pdeathsig', 'TERM', process.execPath, ...args], {
    cwd: ROOT,
    env: { ...inherited('PATH', 'NODE_COMPILE_CACHE'), HOME: '/root' },
  });
  let shown = '';
  child.stdout.on('data', (chunk: Buffer) => (shown += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (shown += chunk.toString()));
  const ended = once(child, 'close').then(
    ([code, signal]) => (code ?? signal) as number | NodeJS.Signals,
  );
  return {
    process: child,
    screen: () => shown,
    ended,
    interrupt: () => {
      child.kill('SIGINT');
      return ended;
    },
    kill: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

function inherited(...names: readonly string[]): Record<string, string> {
  const pairs = names.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return Object.fromEntries(pairs);
}

/** Starts a daemon and waits until it serves. Rejects with its screen when it ends instead. */
export async function serveDaemon(
  installation: { readonly dataDir: string; readonly flags: readonly string[] },
  more: readonly string[] = [],
): Promise<RunningDaemon> {
  const daemon = startDaemon(installation, more);
  let hasEnded = false;
  void daemon.ended.then(() => (hasEnded = true));
  await waitUntil(
    'the daemon serves',
    () => hasEnded || daemon.screen().includes(SERVING),
    START_MS,
  );
  if (hasEnded) throw new Error(`the daemon ended:\n${daemon.screen()}`);
  return daemon;
}

/** A client with the administrator's login of the data directory. */
export function clientOf(dataDir: string): Client {
  const login = JSON.parse(readFileSync(join(dataDir, 'login.json'), 'utf8')) as {
    apiurl: string;
    namespace: string;
    key: string;
  };
  return new Client({ apiUrl: login.apiurl, namespace: login.namespace, key: login.key });
}

/** Waits until the object's view satisfies the condition; resolves with it. */
export async function untilView(
  client: Client,
  path: string,
  isDone: (view: View) => boolean,
  timeoutMs = 60_000,
): Promise<View> {
  let last: View = {};
  const look = async () => {
    last = await client.view('GET', path);
    return isDone(last);
  };
  await waitUntil(`${path} gets there`, look, timeoutMs).catch((error: unknown) => {
    if (error instanceof ApiError) throw error;
    throw new Error(`${String(error)}; it says ${JSON.stringify(last)}`);
  });
  return last;
}
