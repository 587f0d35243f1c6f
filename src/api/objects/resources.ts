// The sorts of objects that belong to one namespace alone, and which of them count as active (contract: conventions 8.2).
import type { InstanceState } from '../../../actors/instance/state.ts';
import type { NetworkState } from '../../../actors/network/state.ts';
import type { ReadModel } from '../../read/read-model.ts';
import { owns } from '../identity/access.ts';
import type { Resource } from './reference.ts';

const INACTIVE: readonly InstanceState['phase'][] = ['deleted', 'delete-wait-error'];

export function instances(read: ReadModel): Resource<InstanceState> {
  return {
    what: 'instance',
    collection: read.instances,
    isActive: (state) => !INACTIVE.includes(state.phase),
    rule: 'own',
    maySee: owns,
  };
}

export function networks(read: ReadModel): Resource<NetworkState> {
  return {
    what: 'network',
    collection: read.networks,
    isActive: (state) => state.phase !== 'deleted',
    rule: 'own',
    maySee: owns,
  };
}
