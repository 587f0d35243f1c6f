// An interface as clients see it (contract: networks 3.1).
import { OBJECT_VERSIONS } from '../objects/versions.ts';
import type { InterfaceState } from '../../../actors/interface/state.ts';
import type { JsonObject } from '../../../actors/kernel/json.ts';
import { closed, nullable, Type } from '../../../actors/kernel/schema.ts';
import { Metadata } from '../objects/metadata.ts';
import type { ReadObject } from '../../read/collection.ts';

export const InterfaceView = closed({
  uuid: Type.String(),
  network_uuid: Type.String(),
  instance_uuid: Type.String(),
  macaddr: Type.String(),
  ipv4: nullable(Type.String()),
  order: Type.Integer(),
  model: Type.String(),
  floating: nullable(Type.String()),
  state: Type.String(),
  metadata: Metadata,
  version: Type.Integer(),
});

export function interfaceView({ id, state }: ReadObject<InterfaceState>): JsonObject {
  return {
    uuid: id,
    network_uuid: state.networkId,
    instance_uuid: state.instanceId,
    macaddr: state.mac ?? '',
    ipv4: state.ipv4,
    order: state.order,
    model: state.model,
    floating: state.float?.address ?? null,
    // The API knows no state between wired up and gone.
    state: state.phase === 'delete-wait' ? 'created' : state.phase,
    metadata: state.metadata as JsonObject,
    version: OBJECT_VERSIONS.networkinterface,
  };
}
