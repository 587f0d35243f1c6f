// Pings from a network's router on this machine.
import { TroupeError } from '../../../actors/kernel/errors.ts';
import type { Dataplane } from '../../../actors/network/ports.ts';
import type { Handlers } from './handlers.ts';

/** At once; each is a process for some 10 s. */
const MOST_PINGS = 16;

export function pingHandlers(dataplane: Pick<Dataplane, 'ping'>): Handlers<'ping'> {
  let running = 0;
  return {
    ping: async ({ networkId, address }, trace) => {
      if (running >= MOST_PINGS) {
        const reason = `this machine sends ${MOST_PINGS} pings already; try again in some seconds`;
        throw new TroupeError('actor/overloaded', reason);
      }
      running++;
      try {
        return await dataplane.ping(networkId, address, trace);
      } finally {
        running--;
      }
    },
  };
}
