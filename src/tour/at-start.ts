// Whether a start takes the tour, with which image, and what it says of it.
import { reasonOf } from '../../actors/kernel/errors.ts';
import { Client } from '../client/client.ts';
import type { Config } from '../config.ts';
import type { Login } from '../daemon/bootstrap.ts';
import { buildGuest } from '../daemon/guest-images.ts';
import { exec } from '../drivers/exec.ts';
import type { Progress } from './progress.ts';
import { isTourTaken, takeTour } from './tour.ts';

export interface TourAtStart {
  readonly config: Config;
  readonly login: Login;
  readonly progress: Progress;
  readonly trace: string;
  /** Calls the tour off; what it has made stays for the next start. */
  readonly stop: AbortSignal;
}

/**
 * Takes the tour the first time, finds its instance again afterwards; resolves to the instance's name, or
 * null. A tour that fails ends `--tour-only`; otherwise the daemon serves on, so that one can see why.
 */
export async function tourOrServe(options: TourAtStart): Promise<string | null> {
  const { config, progress, stop } = options;
  try {
    return await tourIfWanted(options);
  } catch (error) {
    if (config.tour.when === 'only' || stop.aborted) throw error;
    progress.line(
      `\nThe tour was not finished: ${reasonOf(error)}\nThe daemon serves on; the next npm start takes the tour again.`,
    );
    return null;
  }
}

async function tourIfWanted(options: TourAtStart): Promise<string | null> {
  const { config, login, progress, trace, stop } = options;
  const isFirst = config.tour.image !== null || !isTourTaken(config.dataDir);
  const isWanted = config.tour.when === 'only' || (config.tour.when === 'first' && isFirst);
  const client = new Client({ apiUrl: login.apiurl, namespace: login.namespace, key: login.key });
  if (!isWanted && !(await hasTourInstance(config, client))) return null;
  progress.line('\nThe tour: a virtual machine on a virtual network, through the API');
  const build = () => buildGuest(config, trace, stop);
  const path = config.tour.image ?? (await progress.phase('guest image', build));
  const image = path.startsWith('/') ? `file://${path}` : path;
  const name = tourName(config.tour.image);
  const isOwnGuest = config.tour.image === null;
  const given = { config, client, progress, exec, trace, stop };
  const { address, sshCommand } = await takeTour({ ...given, image, name, isOwnGuest });
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
