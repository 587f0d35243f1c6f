// Routed addresses of networks (contract: networks 2.9).
import { isErrorCode, TroupeError } from '../../../actors/kernel/errors.ts';
import { Type } from '../../../actors/kernel/schema.ts';
import { FLOATING, networkRef, type NetworkState } from '../../../actors/network/state.ts';
import { json, NOTHING, route, type Route } from '../http/route.ts';
import { change, type ApiServices } from '../services.ts';
import type { FindNetwork } from './networks.ts';
import { checkReady } from './ready.ts';

/** Longer than the pool takes on a bad day; the route is made after that, too. */
const RESERVE_MS = 20_000;
/** How long unroute waits for the pool, so that it is seen there by who looks. */
const RELEASE_MS = 5_000;

export function routedRoutes(services: ApiServices, object: FindNetwork): Route[] {
  return [
    route('POST /networks/:network_ref/route', {
      summary: 'Route an address of the floating pool into a network; answers the address',
      answer: { json: Type.String() },
      errors: [504, 507],
      object,
      handle: async ({ object: network, trace }) => {
        checkReady(network);
        const number = await change(services, networkRef(network.id), { kind: 'route' }, trace);
        return json(await routed(services, network.id, Number(number)));
      },
    }),
    route('DELETE /networks/:network_ref/route/:address', {
      summary: 'Route an address into a network no more, and give it back to the floating pool',
      answer: NOTHING,
      object,
      handle: async ({ object: network, params, trace }) => {
        checkReady(network);
        const address = params['address'] ?? '';
        checkRoutedBy(services, network.id, address);
        await change(services, networkRef(network.id), { kind: 'unroute', address }, trace);
        const isBack = (pool: NetworkState) => !isHeldBy(pool, network.id, address);
        // Accepted all the same: what takes longer is done when it is done.
        await services.read
          .when(services.read.networks, FLOATING, isBack, RELEASE_MS)
          .catch(() => undefined);
        return json(null);
      },
    }),
  ];
}

/** The address of the route of that number. Errors: why it has none. */
async function routed({ read }: ApiServices, id: string, number: number): Promise<string> {
  const isDecided = ({ routes }: NetworkState) => routes[number]?.phase !== 'reserving';
  const { state } = await read.when(read.networks, id, isDecided, RESERVE_MS);
  const { phase, address = null } = state.routes[number] ?? {};
  if (phase === 'held' && address !== null) return address;
  const { routeFailure: why } = state;
  if (why?.number === number && isErrorCode(why.code)) throw new TroupeError(why.code, why.reason);
  throw new TroupeError('network/not-ready', `network ${id} is not ready (${state.phase})`);
}

/** Errors: 404 when nobody holds the address, 403 when it is held otherwise than as a route of this network. */
function checkRoutedBy({ read }: ApiServices, id: string, address: string): void {
  const pool = read.networks.get(FLOATING)?.state;
  const { reservations = {} } = pool ?? {};
  const held = Object.hasOwn(reservations, address) ? reservations[address] : undefined;
  if (pool === undefined || held === undefined || held.owner === null) {
    throw new TroupeError('api/not-found', 'address not routed');
  }
  if (isHeldBy(pool, id, address)) return;
  throw new TroupeError('api/forbidden', 'address not routed by this network');
}

function isHeldBy({ reservations }: NetworkState, id: string, address: string): boolean {
  const { type, user = null } = reservations[address] ?? {};
  return type === 'routed' && user?.[0] === 'network' && user[1] === id;
}
