// Interface routes (contract: networks 3).
import type { InterfaceState } from '../../../actors/interface/state.ts';
import type { ReadObject } from '../../read/collection.ts';
import { owns } from '../identity/access.ts';
import { floatRoutes } from './floating.ts';
import { InterfaceView, interfaceView } from './interface-view.ts';
import { json, route, type Caller, type Route, finding, type Finder } from '../http/route.ts';
import { notFound, type ApiServices } from '../services.ts';

export function interfaceRoutes(services: ApiServices): Route[] {
  const object = interfaceFinder(services);
  return [
    route('GET /interfaces/:interface_uuid', {
      summary: 'One interface',
      answer: { json: InterfaceView },
      object,
      handle: (request) => json(interfaceView(request.object)),
    }),
    ...floatRoutes(services, object),
  ];
}

export function interfaceFinder(services: ApiServices): Finder<ReadObject<InterfaceState>> {
  return finding('interface', 'own', ({ params, caller }) =>
    findInterface(services, params['interface_uuid'] ?? '', caller),
  );
}

/** In any state. The caller owns both its network and its instance. Errors: 404. */
export function findInterface(
  { read }: ApiServices,
  id: string,
  caller: Caller,
): ReadObject<InterfaceState> {
  const found = read.interfaces.get(id);
  if (found === undefined || !owns(caller, found.state)) throw notFound('interface');
  const network = read.networks.get(found.state.networkId);
  if (network === undefined) throw notFound('interface network');
  const instance = read.instances.get(found.state.instanceId);
  if (instance === undefined) throw notFound('interface instance');
  if (owns(caller, network.state) && owns(caller, instance.state)) return found;
  throw notFound('interface');
}
