// What is refused while a network is not, or no longer, in use.
import { TroupeError } from '../../../actors/kernel/errors.ts';
import type { NetworkState } from '../../../actors/network/state.ts';
import type { ReadObject } from '../../read/collection.ts';
import { notFound, type ApiServices } from '../services.ts';

/** Errors: 406 in any state but `created`. */
export function checkReady({ id, state }: ReadObject<NetworkState>): void {
  if (state.phase === 'created') return;
  throw new TroupeError('network/not-ready', `network ${id} is not ready (${state.phase})`);
}

/** Errors: 404, and those of checkReady(). */
export function checkNetworkReady({ read }: ApiServices, networkId: string): void {
  const network = read.networks.get(networkId);
  if (network === undefined) throw notFound('network');
  checkReady(network);
}
