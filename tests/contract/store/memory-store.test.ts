// The in-memory store keeps the store's contract.
import { systemClock } from '../../../actors/kernel/clock.ts';
import { MemoryCluster } from '../../../transport/store/memory-cluster.ts';
import { MemoryStore } from '../../../transport/store/memory-store.ts';
import { conformance } from './conformance.ts';

conformance('memory store', () => {
  const cluster = new MemoryCluster({ clock: systemClock, minTtlMs: 1_000 });
  return Promise.resolve({
    client: () => new MemoryStore({ cluster }),
    compact: (revision: number) => Promise.resolve(cluster.compact(revision)),
    close: () => Promise.resolve(),
  });
});
