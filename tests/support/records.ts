// A journal in memory, read as a daemon reads its copy of the store; never behind.
import { instance } from '../../actors/instance/instance.ts';
import type { Kind, Message } from '../../actors/kernel/kind.ts';
import { readSnapshot } from '../../actors/kernel/snapshot.ts';
import { node } from '../../actors/node/node.ts';
import type { PlacementRecords } from '../../src/daemon/candidates.ts';
import type { ReadObject } from '../../src/read/collection.ts';
import type { MemoryJournal } from './kernel.ts';

export function recordsOf(journal: MemoryJournal): PlacementRecords {
  return { nodes: collection(journal, node), instances: collection(journal, instance) };
}

function collection<S, M extends Message, E extends string>(
  journal: MemoryJournal,
  { kind, snapshot }: Kind<S, M, E>,
) {
  const prefix = `${kind}/`;
  const get = (id: string): ReadObject<S> | undefined => {
    const loaded = journal.objects.get(`${prefix}${id}`);
    if (loaded === undefined) return undefined;
    return { id, state: readSnapshot(snapshot, loaded.snapshot), revision: loaded.revision };
  };
  const ids = () => [...journal.objects.keys()].filter((key) => key.startsWith(prefix));
  return {
    get,
    *all() {
      for (const key of ids()) {
        const found = get(key.slice(prefix.length));
        if (found !== undefined) yield found;
      }
    },
  };
}
