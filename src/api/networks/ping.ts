// Pings from inside a network (contract: networks 2.8).
import { contains, isAddress, parseNetblock } from '../../../actors/network/netblock.ts';
import { nodesWithPorts } from '../../../actors/network/places.ts';
import type { NetworkState } from '../../../actors/network/state.ts';
import { machineRef } from '../../../actors/node/machine-message.ts';
import { closed, received, Type } from '../../../actors/kernel/schema.ts';
import { json, route, type Route } from '../http/route.ts';
import { badRequest, type ApiServices } from '../services.ts';
import type { FindNetwork } from './networks.ts';
import { checkReady } from './ready.ts';

/** Ten seconds of pinging, on a machine that is busy. */
const PING_MS = 25_000;

const lines = Type.Array(Type.String());
const decodeOutput = received(
  'ping output',
  closed({ stdout: Type.String(), stderr: Type.String() }),
);

export function pingRoute(services: ApiServices, object: FindNetwork): Route {
  return route('GET /networks/:network_ref/ping/:address', {
    summary: "Send ten echo requests from a network's router; answers what ping printed",
    errors: [504],
    answer: { json: closed({ stdout: lines, stderr: lines }) },
    object,
    handle: async ({ object: network, params, trace }) => {
      checkReady(network);
      const { id: networkId, state } = network;
      const address = params['address'] ?? '';
      if (!isAddress(address)) throw badRequest('invalid address');
      if (!contains(parseNetblock(state.netblock), address)) {
        throw badRequest('ping request for address outside network block');
      }
      const node = nodeFor(state, address);
      if (node === undefined) {
        const reason = 'no machine has this network yet: nothing is there to answer';
        return json({ stdout: [''], stderr: [reason] });
      }
      const message = { kind: 'ping', networkId, address } as const;
      const options = { trace, timeoutMs: PING_MS };
      const { value } = await services.router.ask(machineRef(node), message, options);
      const { stdout, stderr } = decodeOutput(value);
      return json({ stdout: stdout.split('\n'), stderr: stderr.split('\n') });
    },
  });
}

/** A router reaches the guests of its own machine: the one that has the address, for the rest any that has the network. */
function nodeFor(state: NetworkState, address: string): string | undefined {
  const nodes = nodesWithPorts(state);
  const holder = Object.values(state.ports).find(({ ipv4 }) => ipv4 === address)?.node;
  return holder !== undefined && nodes.has(holder) ? holder : [...nodes][0];
}
