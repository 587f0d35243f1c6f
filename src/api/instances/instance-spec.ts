// From the body of POST /instances to what an instance's `create` says, checked in the contract's order (instances 4).
import { randomBytes } from 'node:crypto';
import type { Disk, InstanceMessage } from '../../../actors/instance/state.ts';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { Type, type Static, type TObject } from '../../../actors/kernel/schema.ts';
import { targetNamespace } from '../identity/access.ts';
import { diskSpecs, type ParsedDisk } from './disk-spec.ts';
import type { ImageCache } from '../artifacts/image-cache.ts';
import { instanceMetadata } from '../objects/metadata.ts';
import { networkSpecs } from './network-spec.ts';
import { optional, type Caller, type Dialect } from '../http/route.ts';
import { namedBlob, type NamingContext } from '../artifacts/named-blob.ts';
import { isUuid } from '../objects/reference.ts';
import { badRequest, type ApiServices } from '../services.ts';
import { videoSpec } from './video-spec.ts';

const Text = optional(Type.String());

export const instanceBody = {
  name: Text,
  cpus: optional(Type.Integer({ minimum: 1 })),
  memory: optional(Type.Integer({ minimum: 1 })),
  disk: optional(Type.Array(Type.Unknown())),
  network: optional(Type.Array(Type.Unknown())),
  ssh_key: Text,
  user_data: Text,
  placed_on: Text,
  namespace: Text,
  video: Type.Optional(Type.Unknown()),
  uefi: optional(Type.Boolean()),
  secure_boot: optional(Type.Boolean()),
  nvram_template: Text,
  configdrive: Text,
  metadata: Type.Optional(Type.Unknown()),
  side_channels: optional(
    Type.Array(Type.String({ pattern: '^[\\w.:-]{1,64}$' }), { maxItems: 16 }),
  ),
};
type InstanceBody = Static<TObject<typeof instanceBody>>;
type Create = Extract<InstanceMessage, { kind: 'create' }>;

export interface InstanceSpec {
  readonly create: Omit<Create, 'disks'>;
  /** Disks whose URL has no artifact yet get theirs once everything else has been checked. */
  readonly disks: readonly ParsedDisk[];
}

const HOST_LABEL = /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;
const SEED_BYTES = 512;

export interface SpecContext {
  readonly services: ApiServices;
  readonly images: ImageCache;
  readonly caller: Caller;
  readonly dialect: Dialect;
}

/** Makes nothing. Errors: 400, 404 and 406 with the contract's texts. */
export function instanceSpec(context: SpecContext, body: InstanceBody): InstanceSpec {
  const { services, images, caller, dialect } = context;
  const namespace = targetNamespace(services, caller, body.namespace);
  const name = hostName(body.name);
  const size = { cpus: given(body.cpus, 'cpus'), memoryMiB: given(body.memory, 'memory') };
  const firmware = { uefi: body.uefi ?? false, secureBoot: body.secure_boot ?? false };
  if (firmware.secureBoot && !firmware.uefi)
    throw badRequest('secure boot requires UEFI be enabled');
  const requestedNode = knownNode(services, body.placed_on);
  const configDrive = configDriveType(body.configdrive ?? 'openstack-disk');
  const disks = diskSpecs({ services, images, caller, namespace, dialect }, body.disk);
  const nvramTemplate = templateBlob({ services, caller, namespace }, body.nvram_template);
  const nics = networkSpecs({ services, caller, namespace }, body.network ?? []);
  const video = videoSpec(body.video);
  const metadata = instanceMetadata(body.metadata);
  const guest = { sshKey: body.ssh_key ?? null, userData: body.user_data ?? null, configDrive };
  const sideChannels = body.side_channels ?? ['sf-agent'];
  const seed = randomBytes(SEED_BYTES).toString('base64');
  const who = { kind: 'create', name, namespace, requestedNode, metadata } as const;
  const what = {
    ...size,
    ...firmware,
    ...guest,
    ...video,
    nvramTemplate,
    sideChannels,
    nics,
    seed,
  };
  return { create: { ...who, ...what }, disks };
}

/** The disks with an artifact for each URL: what nobody has fetched yet is fetched from here on. */
export async function withArtifacts(
  { images, caller }: SpecContext,
  { create: { namespace }, disks }: InstanceSpec,
  trace: string,
): Promise<Disk[]> {
  const made: Disk[] = [];
  for (const { disk, url } of disks) {
    const asked = url === null ? null : { caller, url, namespace, isShared: false, trace };
    made.push(asked === null ? disk : { ...disk, artifactId: await images.ensure(asked) });
  }
  return made;
}

function hostName(name: string | null | undefined): string {
  if (name === undefined || name === null)
    throw badRequest('name is missing: give the instance one');
  if (HOST_LABEL.test(name)) return name;
  throw badRequest(
    `instance name ${JSON.stringify(name.slice(0, 80))} is not useable as a DNS and Linux host name: use 1 to 63 letters, digits and hyphens, no hyphen at either end`,
  );
}

function given(value: number | null | undefined, what: 'cpus' | 'memory'): number {
  if (value !== undefined && value !== null) return value;
  throw badRequest(
    `${what} is missing: give ${what === 'cpus' ? 'a number of vCPUs' : 'MiB of RAM'}`,
  );
}

function knownNode(services: ApiServices, name: string | null | undefined): string | null {
  if (!name) return null;
  const found = services.read.nodes.get(name)?.state;
  if (found?.phase === 'created') return name;
  const problem = found === undefined ? 'does not exist' : 'not ready';
  throw new TroupeError('api/not-found', `Specified node ${problem}`);
}

function configDriveType(type: string): 'openstack-disk' | 'none' {
  if (type === 'openstack-disk' || type === 'none') return type;
  throw badRequest(`invalid config drive type: "${type}"`);
}

/** The blob that the UEFI variables start from (contract: instances 3.4). */
function templateBlob(context: NamingContext, template: string | null | undefined): string | null {
  if (!template) return null;
  const blobId = isUuid(template) ? template : namedBlob(context, template);
  if (blobId !== null) return blobId;
  throw badRequest(
    'an NVRAM template is a label (label:NAME), sf://blob/UUID, or the UUID of a blob',
  );
}
