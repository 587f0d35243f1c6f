// What every store must do. Runs against etcd and against the in-memory one; each test works under a
// prefix of its own, so that one server serves the whole suite.
import { suite } from 'uvu';
import type { Store } from '../../../transport/store/store.ts';
import { entries, limits, listings, transactions } from './contract-data.ts';
import { endings, leases, watches } from './contract-time.ts';
import type { StoreHarness } from './harness.ts';

/** Adds every test of the contract to a suite called `name` and runs it. */
export function conformance(name: string, open: () => Promise<StoreHarness>): void {
  const test = suite(name);
  const context: { harness?: StoreHarness; store?: Store } = {};
  const given = () => {
    const { harness, store } = context;
    if (harness === undefined || store === undefined) throw new Error('before() has not run');
    return { harness, store };
  };
  let serial = 0;
  const fresh = () => ({ ...given(), at: `/conformance/${serial++}/` });
  test.before(async () => {
    context.harness = await open();
    context.store = context.harness.client();
  });
  test.after(async () => {
    await context.store?.close();
    await context.harness?.close();
  });
  entries(test, fresh);
  transactions(test, fresh);
  limits(test, fresh);
  listings(test, fresh);
  leases(test, fresh);
  watches(test, fresh);
  endings(test, fresh);
  test.run();
}
