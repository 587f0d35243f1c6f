// The daemon's process: reads the configuration, brings up what it needs, takes the tour, and ends in order.
//
// Ctrl-C (SIGINT) and SIGTERM end a daemon with a libvirtd of its own together with its guests and networks, so that a
// try-out leaves nothing behind but the data directory. With an existing libvirtd, and in a cluster, guests and networks
// stay: somebody uses them, and a daemon is stopped to be upgraded.
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../actors/kernel/clock.ts';
import { reasonOf, TroupeError } from '../actors/kernel/errors.ts';
import { jsonLog, textLog } from '../actors/kernel/log.ts';
import type { Log, LogLevel } from '../actors/kernel/ports.ts';
import { readIdentity } from './cluster/files.ts';
import { configOfProcess, usage, wantsHelp, type Config } from './config.ts';
import { startDaemon, type Daemon } from './daemon/daemon.ts';
import { buildProbe } from './daemon/guest-images.ts';
import { exec } from './drivers/exec.ts';
import { probe } from './drivers/hypervisor/probe.ts';
import { lockDataDirectory } from './embedded/data-lock.ts';
import { startEmbedded } from './embedded/embedded.ts';
import { checkMachine, type Listener } from './embedded/preflight.ts';
import { rotateLog } from './embedded/rotate-log.ts';
import { shutDownGuests } from './embedded/shut-down-guests.ts';
import { tourOrServe } from './tour/at-start.ts';
import { Progress } from './tour/progress.ts';
import { endsGuestsAtStop, farewell, stopped, welcome } from './tour/screen.ts';

const random = { number: Math.random, uuid: () => randomUUID() };

/** What guests get to end in order when the daemon is stopped. */
const SHUT_DOWN_MS = 10_000;

/** What has to be undone, newest first, whatever happens. */
type Undo = (() => Promise<void> | void)[];

/** The lock and the log file: undone without a word. */
const QUIET_STEPS = 2;

async function main(): Promise<number> {
  if (wantsHelp(process.argv.slice(2))) {
    process.stdout.write(usage());
    return 0;
  }
  const undo: Undo = [];
  const stop = stopSignal();
  const progress = new Progress(process.stdout, stop);
  const announce = () => {
    if (undo.length > QUIET_STEPS) progress.line('\nStopping …');
  };
  stop.addEventListener('abort', announce);
  try {
    await run(configOfProcess(), progress, undo, stop);
    if (!stop.aborted) announce();
    return 0;
  } catch (error) {
    if (stop.aborted) return 0;
    process.stderr.write(`\ntroupe: ${reasonOf(error)}\n`);
    announce();
    return 1;
  } finally {
    await unwind(undo);
  }
}

function served({ roles, api }: Config): string {
  return roles.includes('api') ? `API at http://${api.address}:${api.port}` : 'no API here';
}

/** Aborted by the first signal of the process; a second one does not wait any longer. */
function stopSignal(): AbortSignal {
  const stop = new AbortController();
  const ask = () => {
    if (stop.signal.aborted) leaveAtOnce();
    stop.abort(new TroupeError('actor/stopped', 'called off'));
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, ask);
  return stop.signal;
}

function leaveAtOnce(): never {
  process.stderr.write(
    '\ntroupe: left at once. The next npm start finds what still runs; sh deploy/clean.sh removes it.\n',
  );
  process.exit(1);
}

/**
 * Brings everything up and serves until `stop`. A stop in between takes effect when the step at hand has
 * ended or was called off: whatever it started is then in `undo`.
 */
async function run(
  config: Config,
  progress: Progress,
  undo: Undo,
  stop: AbortSignal,
): Promise<void> {
  const trace = random.uuid();
  const lock = lockDataDirectory(config.dataDir);
  undo.push(() => lock.release());
  const log = openLog(config, undo);
  const { dataDir: dataDirectory } = config;
  if (config.mesh !== null) readIdentity(config);
  await checkMachine({ dataDirectory, listeners: listenersOf(config) });
  undo.push(() => {
    if (process.exitCode === undefined) progress.line(stopped(config));
  });
  const daemon = await startAll({ config, progress, undo, log, trace, stop });
  progress.line(welcome(config, daemon.login, daemon.host.hypervisor.capabilities.warning));
  const shown = await tourOrServe({ config, progress, trace, stop, login: daemon.login });
  if (config.tour.when === 'only') return;
  progress.line(farewell(config, shown));
  if (!stop.aborted) await once(stop, 'abort');
}

function listenersOf({ api, mesh, roles }: Config): Listener[] {
  const listeners = roles.includes('api') ? [{ what: 'the API', setting: 'api', ...api }] : [];
  if (mesh === null) return listeners;
  return [...listeners, { what: 'the mesh', setting: 'mesh', address: mesh.host, port: mesh.port }];
}

interface StartOptions {
  readonly config: Config;
  readonly progress: Progress;
  readonly undo: Undo;
  readonly log: Log;
  readonly trace: string;
  readonly stop: AbortSignal;
}

async function startAll(options: StartOptions): Promise<Daemon> {
  const { config, progress, undo, log, trace, stop: signal } = options;
  const endsGuests = endsGuestsAtStop(config);
  const services = await progress.phase('etcd and libvirtd', () =>
    startEmbedded(config, trace, log),
  );
  undo.push(() => (endsGuests ? services.stop() : services.release()));
  const images = await progress.phase('probe guest', () => buildProbe(config, trace, signal));
  const cacheFile = join(config.dataDir, 'probe.json');
  const probed = await progress.phase(
    'KVM and CPU model',
    () => probe({ exec, log, ...images, cacheFile, trace, signal }),
    ({ accelerator, cpuModel }) => `${accelerator.toUpperCase()}, ${cpuModel}`,
  );
  signal.throwIfAborted();
  const { etcd, libvirtSocket } = services;
  const onFatal = (error: unknown) => {
    log('error', 'the daemon cannot go on', { error });
    // Not an end that anybody asked for: who supervises the process starts it again.
    process.exitCode = 1;
    process.kill(process.pid, 'SIGTERM');
  };
  const daemon = await progress.phase(
    'daemon',
    () => startDaemon({ config, etcd, libvirtSocket, probed, random, log, trace, signal, onFatal }),
    ({ resumed }) => `${served(config)}, ${resumed} actors resumed`,
  );
  undo.push(async () => {
    await daemon.stop();
    if (endsGuests) {
      const onWaiting = (guests: number) =>
        progress.line(
          `  … shutting down ${guests === 1 ? 'the guest' : `${guests} guests`} (at most ${SHUT_DOWN_MS / 1000} s)`,
        );
      await shutDownGuests({ socketPath: libvirtSocket, timeoutMs: SHUT_DOWN_MS, log, onWaiting });
      await daemon.host.removeNetworks(trace);
    }
    daemon.host.close();
  });
  return daemon;
}

/** JSON lines in the data directory; warnings also where a person sees them. */
function openLog(config: Config, undo: Undo): Log {
  mkdirSync(config.logDir, { recursive: true });
  const path = join(config.logDir, 'daemon.log');
  rotateLog(path);
  const file = createWriteStream(path, { flags: 'a' });
  undo.push(() => new Promise<void>((resolve) => file.end(resolve)));
  const { logLevel: level, logFormat, node } = config;
  const toFile = (logFormat === 'json' ? jsonLog : textLog)({
    clock: systemClock,
    level,
    fields: { node },
    sink: (line) => file.write(`${line}\n`),
  });
  return (at: LogLevel, message, fields) => {
    toFile(at, message, fields);
    if (at === 'error')
      process.stderr.write(`troupe: ${message}${why(fields)} (details in ${path})\n`);
  };
}

function why(fields: Readonly<Record<string, unknown>> | undefined): string {
  const error = fields?.['error'];
  return error === undefined ? '' : `: ${reasonOf(error)}`;
}

async function unwind(undo: Undo): Promise<void> {
  for (const step of undo.splice(0).reverse()) {
    try {
      await step();
    } catch (error) {
      process.exitCode = 1;
      process.stderr.write(`troupe: not stopped cleanly: ${reasonOf(error)}\n`);
    }
  }
}

const code = await main();
process.exit(process.exitCode === undefined || process.exitCode === 0 ? code : process.exitCode);
