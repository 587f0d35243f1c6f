// Steps of a tour, each through the API as any client would take it. Each finds what an earlier, interrupted tour has
// made.
import { TroupeError } from '../../actors/kernel/errors.ts';
import { ApiError } from '../client/api-error.ts';
import type { Client, View } from '../client/client.ts';
import { until } from './wait.ts';

export interface StepOptions {
  readonly client: Client;
  /** Calls the tour off. */
  readonly stop?: AbortSignal | undefined;
}

export interface GuestOptions extends StepOptions {
  /** URL or `file://` of the image. */
  readonly image: string;
  readonly name: string;
  /** The image is our own small guest, which needs less than others. */
  readonly isOwnGuest: boolean;
  /** The node it has to run on; null: any. */
  readonly node: string | null;
  readonly publicKey: string;
}

const NETWORK = 'tour';
const NETBLOCK = '10.77.0.0/24';
const IMAGE_MS = 1_900_000;
const NETWORK_MS = 60_000;
const INSTANCE_MS = 300_000;

/** The artifact, fetched and checked. */
export async function ensureImage(
  { client, image, stop }: StepOptions & Pick<GuestOptions, 'image'>,
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

export async function ensureNetwork({ client, stop }: StepOptions): Promise<View> {
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

/** An instance on the tour's network that runs. */
export async function ensureInstance(
  { client, image, name, isOwnGuest, node, publicKey, stop }: GuestOptions,
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
      side_channels: ['sf-agent'],
      ...(node === null ? {} : { placed_on: node }),
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

/** Of its first interface. */
export function addressOf(instance: View): string {
  const [first] = instance['interfaces'] as readonly View[];
  const address = first?.['ipv4'];
  if (typeof address === 'string') return address;
  throw new ApiError(0, 'the tour instance has no address', '');
}

/** Of an artifact, for a person. */
export function imageSize(artifact: View): string {
  const blobs = Object.values((artifact['blobs'] ?? {}) as Record<string, View>);
  const bytes = Number(blobs.at(-1)?.['size'] ?? 0);
  return `${(bytes / 1024 ** 2).toFixed(0)} MiB, hashed and checked`;
}

export function text(view: View, member: string): string {
  const value = view[member];
  return typeof value === 'string' ? value : '';
}
