// libvirt's states and events in the words of this driver.
import type { DomainState } from '../libvirt/names.ts';
import type { Observed, OffReason } from './power.ts';

/** What a domain's state means for its power. */
export function observe({ state, reason }: { state: DomainState; reason: string }): Observed {
  switch (state) {
    case 'running':
    case 'blocked':
    // Asleep by its own wish, or on its way down: not off yet, and `stopped` will tell.
    case 'pmsuspended':
    case 'shutdown':
    case 'nostate':
    case 'unknown':
      return { power: 'on' };
    case 'paused':
      return { power: 'paused', byItself: reason === 'io-error' };
    case 'crashed':
      return { power: 'crashed' };
    case 'shutoff':
      return { power: 'off', reason: reason === 'unknown' ? 'unknown' : stopReason(reason) };
  }
}

/** Why a domain stopped, from the detail of its `stopped` event or the reason of its `shutoff` state. */
export function stopReason(detail: string): OffReason {
  switch (detail) {
    case 'shutdown':
      return 'guest';
    // Somebody's decision, ours or an operator's at libvirt.
    case 'destroyed':
    case 'saved':
    case 'migrated':
    case 'from-snapshot':
      return 'requested';
    // `crashed`, `failed` (QEMU did not come up), `daemon` (libvirtd lost it), and what is newer.
    default:
      return 'lost';
  }
}
