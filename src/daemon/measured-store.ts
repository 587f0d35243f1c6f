// A store that says how long its calls take and how they fail. Watches and lease renewals go past it: what they miss
// shows as a stale copy and a lost lease.
import type { CallMeter } from '../metrics/call-meter.ts';
import type { Store } from '../../transport/store/store.ts';

export function measuredStore(store: Store, calls: CallMeter): Store {
  return {
    get: (...args) => calls.measure('get', () => store.get(...args)),
    range: (...args) => calls.measure('range', () => store.range(...args)),
    rangeAll: (...args) => store.rangeAll(...args),
    txn: (...args) => calls.measure('txn', () => store.txn(...args)),
    put: (...args) => calls.measure('put', () => store.put(...args)),
    delete: (...args) => calls.measure('delete', () => store.delete(...args)),
    lease: (...args) => calls.measure('lease', () => store.lease(...args)),
    revokeLease: (...args) => calls.measure('revoke-lease', () => store.revokeLease(...args)),
    watch: (...args) => store.watch(...args),
    close: () => store.close(),
  };
}
