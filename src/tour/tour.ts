// The first-run tour: an image, a network, an instance on it, and proof that it lives. Goes through the API as any
// client would. Each step finds what an earlier, interrupted tour has made.
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { TroupeError } from '../../actors/kernel/errors.ts';
import { ApiError } from '../client/api-error.ts';
import { Client, type View } from '../client/client.ts';
import type { Config } from '../config.ts';
import type { Exec } from '../drivers/exec.ts';
import { segmentNames } from '../drivers/network/names.ts';
import { guestLink, tourKey, type GuestLink } from './guest-link.ts';
import type { Progress } from './progress.ts';
import { until } from './wait.ts';

export interface TourOptions {
  readonly config: Config;
  readonly client: Client;
  readonly progress: Progress;
  readonly exec: Exec;
  readonly trace: string;
  /** Calls the tour off. */
  readonly stop?: AbortSignal | undefined;
  /** URL or `file://` of the image; made or found by the caller. */
  readonly image: string;
  /** Of the instance. */
  readonly name: string;
  /** The image is our own small guest, which needs less than others. */
  readonly isOwnGuest: boolean;
}

export interface TourResult {
  readonly instance: View;
  readonly address: string;
  /** What a person types to get in. */
  readonly sshCommand: string;
}

const NETWORK = 'tour';
const NETBLOCK = '10.77.0.0/24';
const IMAGE_MS = 1_900_000;
const NETWORK_MS = 60_000;
const INSTANCE_MS = 300_000;
/** A full distribution under TCG takes minutes; the small guest, seconds. */
const BOOT_MS = 600_000;
const CONSOLE_LINES = 6;
const CONSOLE_WIDTH = 120;

/** Whether a tour has been taken to its end with this data directory. */
export function isTourTaken(dataDir: string): boolean {
  return existsSync(markFile(dataDir));
}

function markFile(dataDir: string): string {
  return join(dataDir, 'tour', 'taken');
}

/** Errors: the first step that fails, with the reason that the object gives. */
export async function takeTour(options: TourOptions): Promise<TourResult> {
  const { config, progress, trace, stop } = options;
  const exec: Exec = (program, args, more) =>
    options.exec(program, args, stop === undefined ? more : { ...more, signal: stop });
  const key = await tourKey(config.dataDir, exec, trace);
  await progress.phase('image', (note) => ensureImage(options, note), imageSize);
  const network = await progress.phase(
    'network',
    () => ensureNetwork(options),
    (made) => `${text(made, 'netblock')}, VNI ${String(made['vxlan_id'])}`,
  );
  const instance = await progress.phase(
    'instance',
    (note) => ensureInstance(options, key.publicKey, note),
    (made) => `on ${text(made, 'node')}, state ${text(made, 'state')}`,
  );
  const address = addressOf(instance);
  const netns = segmentNames(config.hostTag, Number(network['vxlan_id'])).namespace;
  const link = guestLink({ exec, netns, address, keyFile: key.file, trace });
  const user = await proveAlive(options, instance, link);
  writeFileSync(markFile(config.dataDir), `${text(instance, 'uuid')}\n`);
  return { instance, address, sshCommand: link.command(user) };
}

async function ensureImage(
  { client, image, stop }: TourOptions,
  note: (text: string) => void,
): Promise<View> {
  const { uuid } = await client.view('POST', '/artifacts', { url: image });
  const path = `/artifacts/${String(uuid)}`;
  return until('the image', { timeoutMs: IMAGE_MS, stop }, async () => {
    const artifact = await client.view('GET', path);
    if (artifact['state'] === 'created') return artifact;
    if (artifact['state'] === 'error') throw await failed(client, path, 'the image');
    const [latest] = await client.list(`${path}/events`, { limit: 1 });
    note(eventNote(latest ?? {}));
    return undefined;
  });
}

/** `fetching downloading 40 %`, or the message alone. */
function eventNote(event: View): string {
  const { step, percent } = (event['extra'] ?? {}) as View;
  const progress =
    typeof step !== 'string' ? '' : ` ${step}${typeof percent === 'number' ? ` ${percent} %` : ''}`;
  return `${text(event, 'message')}${progress}`;
}

async function ensureNetwork({ client, stop }: TourOptions): Promise<View> {
  const { uuid } =
    (await usable(client, 'networks', NETWORK)) ??
    (await client.view('POST', '/networks', {
      name: NETWORK,
      netblock: NETBLOCK,
      provide_dns: true,
    }));
  const path = `/networks/${String(uuid)}`;
  return until('the network', { timeoutMs: NETWORK_MS, stop }, async () => {
    const network = await client.view('GET', path);
    if (network['state'] === 'error') throw await failed(client, path, 'the network');
    return network['state'] === 'created' ? network : undefined;
  });
}

async function ensureInstance(
  { client, image, name, isOwnGuest, stop }: TourOptions,
  publicKey: string,
  note: (text: string) => void,
): Promise<View> {
  const { uuid } =
    (await usable(client, 'instances', name)) ??
    (await client.view('POST', '/instances', {
      name,
      cpus: 1,
      // A cloud image needs room to unpack its initramfs; the small guest does not.
      memory: isOwnGuest ? 256 : 1024,
      disk: [{ base: image, size: isOwnGuest ? 1 : null, bus: 'virtio', type: 'disk' }],
      network: [{ network_uuid: NETWORK }],
      ssh_key: publicKey,
      video: { model: 'cirrus', memory: 16384, vdi: 'vnc' },
      side_channels: [],
    }));
  const path = `/instances/${String(uuid)}`;
  return until('the instance', { timeoutMs: INSTANCE_MS, stop }, async () => {
    const instance = await client.view('GET', path);
    const state = text(instance, 'state');
    note(state);
    if (state.endsWith('error')) throw await failed(client, path, 'the instance');
    return state === 'created' && instance['power_state'] === 'on' ? instance : undefined;
  });
}

/** Ping, ssh and console; resolves to the user that ssh let in. */
async function proveAlive(
  { client, progress }: TourOptions,
  instance: View,
  link: GuestLink,
): Promise<string> {
  const consolePath = `/instances/${text(instance, 'uuid')}/consoledata`;
  await progress.phase(
    'address and ping',
    () => withConsole(client, consolePath, link.ping(BOOT_MS)),
    (line) => `${addressOf(instance)} by DHCP; ${line}`,
  );
  const { user } = await progress.phase(
    'ssh',
    () => withConsole(client, consolePath, link.ssh('uname -sr; hostname', BOOT_MS)),
    (login) => `${login.user} is in: ${login.output.replaceAll('\n', ', ')}`,
  );
  await progress.phase('console', async () => {
    const lines = consoleLines(await client.bytes(consolePath));
    if (lines.length === 0) throw new TroupeError('actor/timeout', 'the serial console is empty');
    for (const line of lines) progress.line(`    | ${line}`);
  });
  return user;
}

/** A guest that does not come up says why on its console: show the end of it with the failure. */
async function withConsole<T>(client: Client, path: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const lines = consoleLines(await client.bytes(path).catch(() => Buffer.alloc(0)));
    const end = lines.length === 0 ? 'it is empty' : `\n    | ${lines.join('\n    | ')}`;
    throw new Error(`${(error as Error).message}; its console: ${end}`, { cause: error });
  }
}

/** The last lines, without control sequences that would repaint a person's terminal. */
function consoleLines(bytes: Buffer): string[] {
  return stripVTControlCharacters(bytes.toString())
    .replaceAll(/[^\n\x20-\x7e]/g, '')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .slice(-CONSOLE_LINES)
    .map((line) => (line.length > CONSOLE_WIDTH ? `${line.slice(0, CONSOLE_WIDTH)}…` : line));
}

/** What an earlier tour has made; what it left in error is deleted, so that the tour can be taken again. */
async function usable(client: Client, collection: string, name: string): Promise<View | undefined> {
  const all = await client.list(`/${collection}`);
  const named = all.filter((one) => one['name'] === name && one['state'] !== 'delete-wait');
  const failedOnes = named.filter((one) => text(one, 'state').endsWith('error'));
  for (const one of failedOnes) await client.call('DELETE', `/${collection}/${text(one, 'uuid')}`);
  return named.find((one) => !failedOnes.includes(one));
}

/** The reason an object gives, from its view or its latest event that carries one. */
async function failed(client: Client, path: string, what: string): Promise<TroupeError> {
  const view = await client.view('GET', path);
  if (typeof view['error_message'] === 'string') return refused(what, view['error_message']);
  const events = await client.list(`${path}/events`, { event_type: 'audit' });
  const reasons = events.map((event) => (event['extra'] as View | null)?.['reason']);
  return refused(
    what,
    String(reasons.find((reason) => typeof reason === 'string') ?? 'no reason recorded'),
  );
}

function refused(what: string, reason: string): TroupeError {
  return new TroupeError('object/wrong-phase', `${what} failed: ${reason}`);
}

function addressOf(instance: View): string {
  const [first] = instance['interfaces'] as readonly View[];
  const address = first?.['ipv4'];
  if (typeof address === 'string') return address;
  throw new ApiError(0, 'the tour instance has no address', '');
}

function imageSize(artifact: View): string {
  const blobs = Object.values((artifact['blobs'] ?? {}) as Record<string, View>);
  const bytes = Number(blobs.at(-1)?.['size'] ?? 0);
  return `${(bytes / 1024 ** 2).toFixed(0)} MiB, hashed and checked`;
}

function text(view: View, member: string): string {
  const value = view[member];
  return typeof value === 'string' ? value : '';
}
