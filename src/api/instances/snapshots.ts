// Snapshots of an instance's disks (contract: artifacts 10): promised at once, made by an actor of their own.
import type { ArtifactState } from '../../../actors/artifact/state.ts';
import { chooseDevices, NVRAM, snapshotUrl } from '../../../actors/disk-snapshot/devices.ts';
import { answerOf, artifactOf } from '../../../actors/disk-snapshot/effects.ts';
import { baseOfDevice } from '../../../actors/instance/devices.ts';
import { diskSnapshotRef } from '../../../actors/disk-snapshot/state.ts';
import type { InstanceState } from '../../../actors/instance/state.ts';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import type { JsonObject } from '../../../actors/kernel/json.ts';
import { closed, Type } from '../../../actors/kernel/schema.ts';
import type { ReadObject } from '../../read/collection.ts';
import { artifactIdFor, makeArtifact } from '../artifacts/find.ts';
import { instancesFor } from '../blobs/blob-users.ts';
import { blobMembers, blobView } from '../blobs/blob-view.ts';
import {
  json,
  optional,
  route,
  type Answer,
  type ApiRequest,
  type Caller,
  type Route,
} from '../http/route.ts';
import { wholeNumber } from '../objects/whole-number.ts';
import { badRequest, type ApiServices } from '../services.ts';
import type { FindInstance } from './instances.ts';

const DEFAULT_MAX_VERSIONS = 3;

const Promised = closed({
  source_url: Type.String(),
  artifact_uuid: Type.String(),
  blob_uuid: Type.String(),
});

/** Of one version of one device: its artifact, overwritten by its blob. */
const SnapshotView = closed({
  ...blobMembers,
  instances: Type.Array(Type.String()),
  artifact_type: Type.String(),
  source_url: Type.String(),
  max_versions: Type.Integer(),
  namespace: Type.String(),
  shared: Type.Boolean(),
  blob_uuid: Type.String(),
  /** For clients of before: the last part of the source URL; when the blob was made, seconds since the epoch. */
  device: Type.String(),
  created: Type.Integer(),
});

type Instance = ReadObject<InstanceState>;

export function snapshotRoutes(services: ApiServices, object: FindInstance): Route[] {
  return [
    route('POST /instances/:instance_ref/snapshot', {
      summary:
        'Snapshot disks of an instance; answers what will be made of each, before anything is',
      answer: { json: Type.Record(Type.String(), Promised) },
      object,
      body: {
        all: optional(Type.Boolean()),
        device: optional(Type.String()),
        max_versions: Type.Optional(Type.Unknown()),
        thin: optional(Type.Boolean()),
      },
      handle: ({ object: instance, body, ...request }) => {
        const maxVersions = maxVersionsOf(body.max_versions);
        requireCreated(instance);
        const { all } = body;
        // Clients with fixed types send an empty name for none.
        const device = body.device === '' ? null : (body.device ?? null);
        const devices = chooseDevices(instance.state, { all: all === true, device });
        // As in the contract, `false` does not mean full where thin is the default.
        const isThin = body.thin === true || services.snapshots === 'thin';
        return ask(services, { instance, devices, maxVersions, isThin }, request);
      },
    }),
    route('GET /instances/:instance_ref/snapshot', {
      summary: 'Snapshots of an instance: the versions of each of its disks, oldest first',
      answer: { json: Type.Array(SnapshotView) },
      object,
      handle: ({ object: instance, caller }) => json(snapshotViews(services, instance, caller)),
    }),
  ];
}

/** 0, as clients send it that were not told a number, means the default. */
function maxVersionsOf(given: unknown): number {
  const number = wholeNumber(given ?? 0);
  if (number === undefined || number < 0) throw badRequest('max_versions is not an integer');
  return number === 0 ? DEFAULT_MAX_VERSIONS : number;
}

function requireCreated({ id, state: { phase } }: Instance): void {
  if (phase === 'created') return;
  throw new TroupeError('object/not-ready', `instance ${id} is not ready (${phase})`);
}

async function ask(
  services: ApiServices,
  {
    instance,
    devices,
    maxVersions,
    isThin,
  }: { instance: Instance; devices: readonly string[]; maxVersions: number; isThin: boolean },
  { trace, newId }: Pick<ApiRequest<unknown>, 'trace' | 'newId'>,
): Promise<Answer> {
  if (devices.length === 0) return json({});
  const { namespace } = instance.state;
  const disks = devices.map((device) => {
    const sought = { type: 'snapshot', url: snapshotUrl(instance.id, device), namespace } as const;
    const artifactId = artifactIdFor(services, sought);
    // A blank disk, or the NVRAM, has nothing to differ from.
    const baseBlobId = isThin ? baseOfDevice(instance.state, device) : null;
    const thin = baseBlobId === null ? {} : { baseBlobId };
    return { device, artifactId, blobId: newId(), ...thin };
  });
  const what = { namespace, instanceId: instance.id, maxVersions, disks };
  const message = { kind: 'create', ...what } as const;
  await services.router.ask(diskSnapshotRef(newId()), message, { trace });
  // It makes them itself; the caller is to find them at once.
  for (const disk of disks) {
    await makeArtifact(services, disk.artifactId, artifactOf(what, disk), trace);
  }
  return json(answerOf(what));
}

/** Of all devices that it has, or has had snapshots of; deleted ones until they are forgotten. */
function snapshotViews(
  services: ApiServices,
  { id, state }: Instance,
  caller: Caller,
): JsonObject[] {
  const { read, clock } = services;
  const devices = [...state.builtDisks.map(({ device }) => device), NVRAM];
  return devices.flatMap((device) =>
    read.artifacts
      .by('sourceUrl', snapshotUrl(id, device))
      .filter((one) => one.state.type === 'snapshot' && one.state.namespace === state.namespace)
      .flatMap((artifact) =>
        artifact.state.versions.flatMap(({ blobId }) => {
          const blob = read.blobs.get(blobId);
          return blob === undefined
            ? []
            : [
                snapshotView(
                  artifact,
                  blobView(blob, clock.nowMs(), instancesFor(services, caller)),
                  device,
                ),
              ];
        }),
      ),
  );
}

function snapshotView(
  { id, state }: ReadObject<ArtifactState>,
  { uuid: blobId, ...blob }: JsonObject,
  device: string,
): JsonObject {
  return {
    ...blob,
    uuid: id,
    blob_uuid: blobId ?? null,
    artifact_type: state.type,
    source_url: state.sourceUrl,
    max_versions: state.maxVersions,
    namespace: state.namespace,
    shared: state.shared,
    device,
    created: Math.floor(Number(blob['fetched_at'])),
  };
}
