// The daemon's process: reads the configuration, brings up what it needs, takes the tour, and ends in order.
//
// Ctrl-C (SIGINT) and SIGTERM end a daemon with a libvirtd of its own together with its guests and networks, so that a
// try-out leaves nothing behind but the data directory. With an existing libvirtd, guests and networks stay.
import { randomUUID } from 'node:crypto';
import { createWriteStream, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../actors/kernel/clock.ts';
import { reasonOf } from '../actors/kernel/errors.ts';
import { jsonLog } from '../actors/kernel/log.ts';
import type { Log, LogLevel } from '../actors/kernel/ports.ts';
import { Client } from './client/client.ts';
import { configOfProcess, usage, wantsHelp, type Config } from './config.ts';
import type { Login } from './daemon/bootstrap.ts';
import { startDaemon, type Daemon } from './daemon/daemon.ts';
import { buildGuest, buildProbe } from './daemon/guest-images.ts';
import { exec } from './drivers/exec.ts';
import { probe } from './drivers/hypervisor/probe.ts';
import { lockDataDirectory } from './embedded/data-lock.ts';
import { startEmbedded } from './embedded/embedded.ts';
import { checkMachine } from './embedded/preflight.ts';
import { rotateLog } from './embedded/rotate-log.ts';
import { shutDownGuests } from './embedded/shut-down-guests.ts';
import { farewell, welcome } from './tour/screen.ts';
import { Progress } from './tour/progress.ts';
import { isTourTaken, takeTour } from './tour/tour.ts';

const random = { number: Math.random, uuid: () => randomUUID() };

/** What guests get to end in order when the daemon is stopped. */
const SHUT_DOWN_MS = 10_000;

/** What has to be undone, newest first, whatever happens. */
type Undo = (() => Promise<void> | void)[];

async function main(): Promise<number> {
  if (wantsHelp(process.argv.slice(2))) {
    process.stdout.write(usage());
    return 0;
  }
  const undo: Undo = [];
  const stopAsked = stopSignal();
  const progress = new Progress(process.stdout);
  try {
    const config = configOfProcess();
    const stopped = await Promise.race([
      run(config, progress, undo),
      stopAsked.then(() => 'stopped'),
    ]);
    if (stopped === 'served') await stopAsked;
    return 0;
  } catch (error) {
    process.stderr.write(`\ntroupe: ${reasonOf(error)}\n`);
    return 1;
  } finally {
    await unwind(undo, progress);
  }
}

/** Resolves at the first signal; a second one does not wait any longer. */
function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    let isAsked = false;
    const ask = () => {
      if (isAsked) process.exit(1);
      isAsked = true;
      resolve();
    };
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, ask);
  });
}

async function run(config: Config, progress: Progress, undo: Undo): Promise<'served' | 'toured'> {
  const trace = random.uuid();
  const lock = lockDataDirectory(config.dataDir);
  undo.push(() => lock.release());
  const log = openLog(config, undo);
  const { dataDir: dataDirectory, api } = config;
  await checkMachine({ dataDirectory, listeners: [{ what: 'the API', setting: 'api', ...api }] });
  const daemon = await startAll({ config, progress, undo, log, trace });
  progress.line(welcome(config, daemon.login, daemon.host.hypervisor.capabilities.warning));
  const shown = await tourOrServe(config, daemon.login, progress, trace);
  if (config.tour.when === 'only') return 'toured';
  progress.line(farewell(config, shown));
  return 'served';
}

interface StartOptions {
  readonly config: Config;
  readonly progress: Progress;
  readonly undo: Undo;
  readonly log: Log;
  readonly trace: string;
}

async function startAll({ config, progress, undo, log, trace }: StartOptions): Promise<Daemon> {
  const hasOwnLibvirt = config.libvirtSocket === null;
  const services = await progress.phase('etcd and libvirtd', () =>
    startEmbedded(config, trace, log),
  );
  undo.push(() => (hasOwnLibvirt ? services.stop() : services.release()));
  const images = await progress.phase('probe guest', () => buildProbe(config, trace));
  const cacheFile = join(config.dataDir, 'probe.json');
  const probed = await progress.phase(
    'KVM and CPU model',
    () => probe({ exec, log, ...images, cacheFile, trace }),
    ({ accelerator, cpuModel }) => `${accelerator.toUpperCase()}, ${cpuModel}`,
  );
  const { etcd, libvirtSocket } = services;
  const onFatal = (error: unknown) => {
    log('error', 'the daemon cannot go on', { error });
    process.kill(process.pid, 'SIGTERM');
  };
  const daemon = await progress.phase(
    'daemon',
    () => startDaemon({ config, etcd, libvirtSocket, probed, random, log, trace, onFatal }),
    ({ resumed }) =>
      `API at http://${config.api.address}:${config.api.port}, ${resumed} actors resumed`,
  );
  undo.push(async () => {
    await daemon.stop();
    if (hasOwnLibvirt) {
      const onWaiting = (guests: number) =>
        progress.line(`  … shutting down ${guests === 1 ? 'the guest' : `${guests} guests`}`);
      await shutDownGuests({ socketPath: libvirtSocket, timeoutMs: SHUT_DOWN_MS, log, onWaiting });
      await daemon.host.removeNetworks(trace);
    }
    daemon.host.close();
  });
  return daemon;
}

/** A tour that fails ends `--tour-only`; otherwise the daemon serves on, so that one can see why. */
async function tourOrServe(
  config: Config,
  login: Login,
  progress: Progress,
  trace: string,
): Promise<string | null> {
  try {
    return await tourIfWanted(config, login, progress, trace);
  } catch (error) {
    if (config.tour.when === 'only') throw error;
    progress.line(
      `\nThe tour was not finished: ${reasonOf(error)}\nThe daemon serves on; the next npm start takes the tour again.`,
    );
    return null;
  }
}

/** Takes the tour the first time, finds its instance again afterwards; the instance's name, or null. */
async function tourIfWanted(
  config: Config,
  login: Login,
  progress: Progress,
  trace: string,
): Promise<string | null> {
  const isFirst = config.tour.image !== null || !isTourTaken(config.dataDir);
  const isWanted = config.tour.when === 'only' || (config.tour.when === 'first' && isFirst);
  const client = new Client({ apiUrl: login.apiurl, namespace: login.namespace, key: login.key });
  if (!isWanted && !(await hasTourInstance(config, client))) return null;
  progress.line('\nThe tour: a virtual machine on a virtual network, through the API');
  const path =
    config.tour.image ?? (await progress.phase('guest image', () => buildGuest(config, trace)));
  const image = path.startsWith('/') ? `file://${path}` : path;
  const name = tourName(config.tour.image);
  const isOwnGuest = config.tour.image === null;
  const options = { config, client, progress, exec, trace, image, name, isOwnGuest };
  const { address, sshCommand } = await takeTour(options);
  const total = progress.times.reduce((sum, { ms }) => sum + ms, 0) / 1000;
  const phases = progress.times
    .map(({ name, ms }) => `${name} ${(ms / 1000).toFixed(1)}`)
    .join(', ');
  progress.line(`\nThe instance ${name} runs at ${address}; get in with\n  ${sshCommand}`);
  progress.line(`It took ${total.toFixed(1)} s: ${phases}`);
  return name;
}

async function hasTourInstance(config: Config, client: Client): Promise<boolean> {
  if (config.tour.when === 'never' || config.tour.image !== null) return false;
  return (await client.list('/instances')).some(
    (one) => one['name'] === 'tour' && one['power_state'] === 'on',
  );
}

/** Each image has an instance of its own, named after it: `tour`, or `tour-debian-12` for debian_12.qcow2. */
function tourName(image: string | null): string {
  if (image === null) return 'tour';
  const stem =
    image
      .split('/')
      .at(-1)
      ?.split('?')[0]
      ?.replace(/\.[a-z0-9.]*$/i, '') ?? '';
  const label = stem
    .replaceAll(/[^a-z0-9]+/gi, '-')
    .replaceAll(/^-|-$/g, '')
    .slice(0, 40);
  return label === '' ? 'tour-image' : `tour-${label}`;
}

/** JSON lines in the data directory; warnings also where a person sees them. */
function openLog(config: Config, undo: Undo): Log {
  mkdirSync(config.logDir, { recursive: true });
  const path = join(config.logDir, 'daemon.log');
  rotateLog(path);
  const file = createWriteStream(path, { flags: 'a' });
  undo.push(() => new Promise<void>((resolve) => file.end(resolve)));
  const { logLevel: level, node } = config;
  const toFile = jsonLog({
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

async function unwind(undo: Undo, progress: Progress): Promise<void> {
  if (undo.length > 1) progress.line('\nStopping …');
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
