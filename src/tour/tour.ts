// The first-run tour: an image, a network, an instance on it, and proof that it lives. Goes through the API as any
// client would. Each step finds what an earlier, interrupted tour has made.
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { Client, View } from '../client/client.ts';
import type { Config } from '../config.ts';
import type { Exec } from '../drivers/exec.ts';
import { segmentNames } from '../drivers/network/names.ts';
import { guestLink, tourKey, type GuestLink } from './guest-link.ts';
import type { Progress } from './progress.ts';
import { addressOf, ensureImage, ensureInstance, ensureNetwork, imageSize, text } from './steps.ts';

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
    (note) => ensureInstance({ ...options, node: null, publicKey: key.publicKey }, note),
    (made) => `on ${text(made, 'node')}, state ${text(made, 'state')}`,
  );
  const address = addressOf(instance);
  const netns = segmentNames(config.hostTag, Number(network['vxlan_id'])).namespace;
  const link = guestLink({ exec, netns, address, keyFile: key.file, trace });
  const user = await proveAlive(options, instance, link);
  writeFileSync(markFile(config.dataDir), `${text(instance, 'uuid')}\n`);
  return { instance, address, sshCommand: link.command(user) };
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
