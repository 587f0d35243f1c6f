// An instance as clients see it (contract: instances 1).
import type { InstanceState } from '../../actors/instance/state.ts';
import type { JsonObject } from '../../actors/kernel/json.ts';
import type { ReadObject } from '../read/collection.ts';
import type { ReadModel } from '../read/read-model.ts';
import { interfaceView } from './interface-view.ts';

const VERSION = 14;

export function instanceView(
  read: ReadModel,
  { id, state }: ReadObject<InstanceState>,
): JsonObject {
  const { observed } = state;
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
    disks: state.builtDisks.map((disk) => ({
      device: disk.device,
      bus: disk.bus,
      size: disk.sizeGiB,
      blob_uuid: disk.blobId,
      snapshot_ignores: disk.snapshotIgnores,
    })),
    video: state.videoSpec as JsonObject,
    interfaces: interfacesOf(read, state),
    ssh_key: state.sshKey,
    user_data: state.userData,
    configdrive: state.configDrive,
    uefi: state.uefi,
    secure_boot: state.secureBoot,
    nvram_template: state.nvramTemplate,
    machine_type: state.secureBoot ? 'q35' : 'pc',
    side_channels: state.sideChannels,
    agent_state: null,
    agent_start_time: null,
    agent_system_boot_time: null,
    console_port: observed?.consolePort ?? null,
    vdi_port: observed?.vdiPort ?? null,
    vdi_tls_port: observed?.vdiTlsPort ?? null,
    metadata: state.metadata as JsonObject,
    version: VERSION,
  };
}

/** In attachment order; before its actor has made one, as it was asked for. */
export function interfacesOf(read: ReadModel, state: InstanceState): JsonObject[] {
  return state.nics.flatMap((nic) => {
    const found = read.interfaces.get(nic.interfaceId);
    return found === undefined ? [] : [interfaceView(found)];
  });
}

function powerState(state: InstanceState): string {
  if (state.observed !== null) return state.observed.power;
  return state.powerOns === 0 ? 'initial' : 'off';
}
