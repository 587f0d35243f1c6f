// Hot plug (contract: instances 8.2): one more interface for an instance that there is.
import { instanceRef, type InstanceState } from '../../../actors/instance/state.ts';
import type { InterfaceState } from '../../../actors/interface/state.ts';
import { isErrorCode, TroupeError } from '../../../actors/kernel/errors.ts';
import { Type } from '../../../actors/kernel/schema.ts';
import type { ReadObject } from '../../read/collection.ts';
import { json, route, type Route } from '../http/route.ts';
import { change, type ApiServices } from '../services.ts';
import type { FindInstance } from './instances.ts';
import { InterfaceView, interfaceView } from './interface-view.ts';
import { networkSpec } from './network-spec.ts';

/** How long the answer waits for the address. */
const RESERVED_MS = 20_000;

export function plugRoute(services: ApiServices, object: FindInstance): Route {
  return route('POST /instances/:instance_ref/interfaces', {
    summary: 'Give an instance one more interface; a running guest gets it while it runs',
    answer: { json: InterfaceView },
    errors: [504, 507],
    object,
    body: { network: Type.Optional(Type.Unknown()) },
    handle: async ({ object: { id, state }, body, caller, newId, trace }) => {
      if (state.phase !== 'created') {
        const reason = `instance in invalid state for hot plug (${state.phase})`;
        throw new TroupeError('object/not-ready', reason);
      }
      const { namespace } = state;
      const spec = networkSpec({ services, caller, namespace }, body.network, state.nics.length);
      const nic = { ...spec, interfaceId: newId() };
      await change(services, instanceRef(id), { kind: 'plug', nic }, trace);
      return json(interfaceView(await reserved(services, id, nic.interfaceId)));
    },
  });
}

/** The interface once its address is its own. Errors: what made that fail; the instance is as it was then. */
async function reserved(
  { read }: ApiServices,
  instanceId: string,
  interfaceId: string,
): Promise<ReadObject<InterfaceState>> {
  const nicOf = ({ nics }: InstanceState) => nics.find((nic) => nic.interfaceId === interfaceId);
  const isDecided = (now: InstanceState) => {
    const nic = nicOf(now);
    return nic === undefined || nic.mac !== null;
  };
  const { state } = await read.when(read.instances, instanceId, isDecided, RESERVED_MS);
  const made = await read.when(read.interfaces, interfaceId, () => true, RESERVED_MS);
  if (nicOf(state) !== undefined) return made;
  const { failure } = made.state;
  const code = isErrorCode(failure?.code) ? failure.code : 'api/conflict';
  throw new TroupeError(code, failure?.reason ?? 'the interface was deleted at once');
}
