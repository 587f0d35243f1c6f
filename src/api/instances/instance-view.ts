// An instance as clients see it (contract: instances 1).
import { agentStateOf } from '../../../actors/instance/operations.ts';
import { OBJECT_VERSIONS } from '../objects/versions.ts';
import type { InstanceState } from '../../../actors/instance/state.ts';
import type { InterfaceState } from '../../../actors/interface/state.ts';
import type { JsonObject } from '../../../actors/kernel/json.ts';
import { closed, nullable, Type } from '../../../actors/kernel/schema.ts';
import { Metadata } from '../objects/metadata.ts';
import type { ReadObject } from '../../read/collection.ts';
import type { ReadModel } from '../../read/read-model.ts';
import { InterfaceView, interfaceView } from './interface-view.ts';

export const InstanceView = closed({
  uuid: Type.String(),
  name: Type.String(),
  namespace: Type.String(),
  state: Type.String(),
  error_message: nullable(Type.String()),
  power_state: Type.String(),
  node: nullable(Type.String()),
  /** Only when creation forced a node. */
  requested_placement: Type.Optional(Type.String()),
  cpus: Type.Integer(),
  /** MiB. */
  memory: Type.Integer(),
  /** As sent at creation. */
  disk_spec: Type.Array(Type.Record(Type.String(), Type.Unknown())),
  disks: Type.Array(
    closed({
      device: Type.String(),
      bus: Type.String(),
      /** GiB. */
      size: nullable(Type.Integer()),
      blob_uuid: nullable(Type.String()),
      snapshot_ignores: Type.Boolean(),
    }),
  ),
  video: Type.Record(Type.String(), Type.Unknown()),
  interfaces: Type.Array(InterfaceView),
  ssh_key: nullable(Type.String()),
  user_data: nullable(Type.String()),
  configdrive: Type.String(),
  uefi: Type.Boolean(),
  secure_boot: Type.Boolean(),
  nvram_template: nullable(Type.String()),
  machine_type: Type.String(),
  side_channels: Type.Array(Type.String()),
  agent_state: nullable(Type.String()),
  agent_start_time: nullable(Type.Number()),
  agent_system_boot_time: nullable(Type.Number()),
  console_port: nullable(Type.Integer()),
  vdi_port: nullable(Type.Integer()),
  vdi_tls_port: nullable(Type.Integer()),
  metadata: Metadata,
  version: Type.Integer(),
});

export function instanceView(
  read: ReadModel,
  { id, state }: ReadObject<InstanceState>,
): JsonObject {
  const forced = state.requestedNode === null ? {} : { requested_placement: state.requestedNode };
  return {
    uuid: id,
    name: state.name,
    namespace: state.namespace,
    state: state.phase,
    error_message: state.failure?.reason ?? null,
    power_state: powerState(state),
    node: state.node,
    ...forced,
    cpus: state.cpus,
    memory: state.memoryMiB,
    disk_spec: state.disks.map((disk) => disk.spec as JsonObject),
    disks: disksOf(state),
    video: state.videoSpec as JsonObject,
    interfaces: interfacesOf(read, state).map(interfaceView),
    ssh_key: state.sshKey,
    user_data: state.userData,
    configdrive: state.configDrive,
    ...firmwareOf(state),
    side_channels: state.sideChannels,
    ...agentOf(state),
    console_port: state.observed?.consolePort ?? null,
    vdi_port: state.observed?.vdiPort ?? null,
    vdi_tls_port: state.observed?.vdiTlsPort ?? null,
    metadata: state.metadata as JsonObject,
    version: OBJECT_VERSIONS.instance,
  };
}

function agentOf(state: InstanceState): JsonObject {
  const { startedAtMs = null, bootedAtMs = null } = state.observed?.agent ?? {};
  return {
    agent_state: agentStateOf(state),
    agent_start_time: startedAtMs === null ? null : startedAtMs / 1000,
    agent_system_boot_time: bootedAtMs === null ? null : bootedAtMs / 1000,
  };
}

function firmwareOf(state: InstanceState): JsonObject {
  return {
    uefi: state.uefi,
    secure_boot: state.secureBoot,
    nvram_template: state.nvramTemplate,
    // What guests are really given, with secure boot and without.
    machine_type: 'q35',
  };
}

/** The devices as built; none before. */
function disksOf(state: InstanceState): JsonObject[] {
  return state.builtDisks.map((disk) => ({
    device: disk.device,
    bus: disk.bus,
    size: disk.sizeGiB,
    blob_uuid: disk.blobId,
    snapshot_ignores: disk.snapshotIgnores,
  }));
}

/** In attachment order; those that are no longer, or not yet, kept are left out. */
export function interfacesOf(read: ReadModel, state: InstanceState): ReadObject<InterfaceState>[] {
  return state.nics.flatMap((nic) => read.interfaces.get(nic.interfaceId) ?? []);
}

/** As last observed. A domain that is gone is off; one that was never seen has not been started. */
function powerState(state: InstanceState): string {
  if (state.observed !== null) return state.observed.power;
  if (state.phase === 'deleted') return 'off';
  return state.builtDisks.length === 0 ? 'initial' : 'off';
}
