// From the body of POST /instances to an instance's `create`, checked in the contract's order (instances 4).
import { randomBytes } from 'node:crypto';
import type { Disk, InstanceMessage, Nic } from '../../actors/instance/state.ts';
import { Type, type Static, type TObject } from '../../actors/kernel/schema.ts';
import { SYSTEM } from '../../actors/namespace/state.ts';
import { diskSpec } from './disk-spec.ts';
import { networkSpec } from './network-spec.ts';
import { optional, type Caller } from './route.ts';
import { badRequest, notFound, type ApiServices } from './services.ts';

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
  video: optional(Type.Unknown()),
  uefi: optional(Type.Boolean()),
  secure_boot: optional(Type.Boolean()),
  nvram_template: Text,
  configdrive: Text,
  metadata: optional(Type.Unknown()),
  side_channels: optional(Type.Array(Type.String())),
};
export type InstanceBody = Static<TObject<typeof instanceBody>>;
type Create = Extract<InstanceMessage, { kind: 'create' }>;

const HOST_LABEL = /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;
const DEFAULT_VIDEO = { model: 'cirrus', memory: 16384, vdi: 'spice' };

/** Errors: 400, 404 and 406 with the contract's texts. Artifacts named by a URL nobody has yet are made by `makeArtifact`. */
export async function instanceSpec(
  services: ApiServices,
  caller: Caller,
  body: InstanceBody,
  makeArtifact: (url: string, namespace: string) => Promise<string>,
): Promise<Create> {
  const namespace = targetNamespace(services, caller, body.namespace ?? null);
  const name = hostName(body.name);
  const uefi = body.uefi ?? false;
  const secureBoot = body.secure_boot ?? false;
  if (secureBoot && !uefi) throw badRequest('secure boot requires UEFI be enabled');
  const requestedNode = knownNode(services, body.placed_on ?? null);
  const configDrive = configDriveType(body.configdrive ?? 'openstack-disk');
  const video = videoSpec(body.video ?? null);
  const metadata = metadataOf(body.metadata);
  const nics = (body.network ?? []).map((one, order) =>
    networkSpec(services, caller, namespace, one, order),
  );
  const disks = await diskSpecs(services, namespace, body.disk ?? [], makeArtifact);
  const { cpus, memory } = body;
  if (cpus === undefined || cpus === null)
    throw badRequest('cpus is missing: give the number of vCPUs');
  if (memory === undefined || memory === null)
    throw badRequest('memory is missing: give MiB of RAM');
  return {
    kind: 'create',
    name,
    namespace,
    cpus,
    memoryMiB: memory,
    ...video,
    sshKey: body.ssh_key ?? null,
    userData: body.user_data ?? null,
    configDrive,
    uefi,
    secureBoot,
    nvramTemplate: noTemplate(body.nvram_template ?? null),
    sideChannels: body.side_channels ?? ['sf-agent'],
    requestedNode,
    seed: randomBytes(512).toString('base64'),
    disks,
    nics: nics as Nic[],
    metadata,
  };
}

/** The namespace to create in: the caller's, or one that trusts the caller. */
export function targetNamespace(
  services: ApiServices,
  caller: Caller,
  asked: string | null,
): string {
  const name = asked ?? caller.namespace;
  const found = services.read.namespaces.get(name)?.state;
  if (found === undefined || found.phase === 'deleted') throw notFound('namespace');
  const isTrusted =
    caller.namespace === name ||
    caller.namespace === SYSTEM ||
    found.trusts.includes(caller.namespace);
  if (!isTrusted) throw notFound('namespace');
  return name;
}

function hostName(name: string | null | undefined): string {
  if (name === undefined || name === null)
    throw badRequest('name is missing: give the instance a name');
  if (HOST_LABEL.test(name)) return name;
  throw badRequest(
    `instance name ${JSON.stringify(name.slice(0, 80))} is not useable as a DNS and Linux host name: use 1 to 63 letters, digits and hyphens, no hyphen at either end`,
  );
}

function knownNode(services: ApiServices, name: string | null): string | null {
  if (name === null || name === '') return null;
  const found = services.read.nodes.get(name)?.state;
  if (found === undefined) throw notFoundText('Specified node does not exist');
  if (found.phase !== 'created') throw notFoundText('Specified node not ready');
  return name;
}

function notFoundText(text: string) {
  const error = notFound('node');
  error.message = text;
  return error;
}

function configDriveType(type: string): 'openstack-disk' | 'none' {
  if (type === 'openstack-disk' || type === 'none') return type;
  throw badRequest(`invalid config drive type: "${type}"`);
}

function videoSpec(video: unknown): Pick<Create, 'video' | 'videoSpec'> {
  const isEmpty = video === null || (typeof video === 'object' && Object.keys(video).length === 0);
  const spec: Record<string, unknown> = isEmpty
    ? DEFAULT_VIDEO
    : { vdi: 'spice', ...(video as object) };
  const { model, memory, vdi } = spec;
  if (typeof model !== 'string') throw badRequest('video specification requires "model"');
  const memoryKiB = Number(memory);
  if (memory === undefined || !Number.isInteger(memoryKiB) || memoryKiB < 1) {
    throw badRequest('video specification requires "memory"');
  }
  return { video: { model, memoryKiB, vdi: String(vdi as string) }, videoSpec: spec };
}

/** Falsy is none (contract: instances 3.6); tags and affinity are what scheduling reads. */
function metadataOf(metadata: unknown): Record<string, unknown> {
  if (!metadata) return {};
  if (typeof metadata !== 'object' || Array.isArray(metadata)) {
    throw badRequest('metadata must be a dictionary');
  }
  const pairs = metadata as Record<string, unknown>;
  for (const [key, value] of Object.entries(pairs)) checkMetadata(key, value);
  return pairs;
}

function checkMetadata(key: string, value: unknown): void {
  if (key === '') throw badRequest('no key specified');
  if (key === 'tags' && !Array.isArray(value)) {
    throw badRequest('value for "tags" key should be a JSON list');
  }
  if (key !== 'affinity') return;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw badRequest('value for "affinity" key should be a valid JSON dictionary');
  }
  if (Object.values(value).some((weight) => !Number.isInteger(Number(weight)))) {
    throw badRequest('affinity dictionary values should be integers');
  }
}

function noTemplate(template: string | null): null {
  if (template === null || template === '') return null;
  throw badRequest(
    'NVRAM templates are not supported yet: leave nvram_template out to start with the stock variables',
  );
}

async function diskSpecs(
  services: ApiServices,
  namespace: string,
  specs: readonly unknown[],
  makeArtifact: (url: string, namespace: string) => Promise<string>,
): Promise<Disk[]> {
  if (specs.length === 0) throw badRequest('instance must specify at least one disk');
  const parsed = specs.map((spec) => diskSpec(services, namespace, spec));
  const disks: Disk[] = [];
  for (const { disk, url } of parsed) {
    disks.push(url === null ? disk : { ...disk, artifactId: await makeArtifact(url, namespace) });
  }
  return disks;
}
