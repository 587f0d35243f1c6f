// A real etcd as a store under test.
import { Etcd3 } from 'etcd3';
import { systemClock } from '../../../actors/kernel/clock.ts';
import { EtcdStore } from '../../../transport/store/etcd-store.ts';
import { startEtcd } from '../../support/etcd.ts';
import type { StoreHarness } from './harness.ts';

/** Starts an etcd of its own; close() ends it. */
export async function etcdHarness(): Promise<StoreHarness> {
  const etcd = await startEtcd();
  const raw = new Etcd3({ hosts: etcd.url });
  return {
    client: () => new EtcdStore({ hosts: [etcd.url], clock: systemClock }),
    async compact(revision) {
      await raw.kv.compact({ revision, physical: true });
    },
    async close() {
      raw.close();
      await etcd.stop();
    },
  };
}
