// What has something on a node that was removed from the cluster, and is told that it is gone. Level-triggered, as
// presence.ts has it: who still shows the node is told again.
import { isGood } from '../../actors/blob/copies.ts';
import type { Address, Message } from '../../actors/kernel/kind.ts';
import type { ReadModel } from '../read/read-model.ts';

/** `isOurs`: whether this daemon decides for it. */
export function* whoLostNode(
  read: ReadModel,
  isOurs: (address: Address) => boolean,
): Generator<{ readonly to: Address; readonly message: Message }> {
  const removed = new Set<string>();
  for (const { id, state } of read.nodes.all()) if (state.phase === 'deleted') removed.add(id);
  if (removed.size === 0) return;
  const tell = (kind: string, id: string, nodes: Iterable<string>) => {
    const to = { kind, id };
    const gone = [...nodes].filter((node) => removed.has(node));
    if (gone.length === 0 || !isOurs(to)) return [];
    return gone.map((node) => ({ to, message: { kind: 'node-gone', node } }));
  };
  for (const { id, state } of read.instances.all()) {
    if (state.node === null || state.phase === 'deleted') continue;
    // All that it had there is known to be gone: what is left to give back is elsewhere.
    if (state.phase === 'delete-wait' && state.isDomainGone) continue;
    yield* tell('instance', id, [state.node]);
  }
  for (const { id, state } of read.networks.all()) yield* tell('network', id, state.nodes);
  for (const { id, state } of read.uploads.all()) yield* tell('upload', id, [state.node]);
  for (const { id, state } of read.blobs.all()) {
    if (state.phase === 'deleted') continue;
    const replicas = Object.entries(state.replicas);
    // Of the last copy the record stays: it says where the bytes were.
    const isLost = state.phase === 'created' && !replicas.some(([, replica]) => isGood(replica));
    const known = replicas.filter(([, { phase }]) => !(isLost && phase === 'lost'));
    yield* tell(
      'blob',
      id,
      known.map(([node]) => node),
    );
  }
}
