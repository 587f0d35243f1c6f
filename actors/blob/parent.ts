// What a thin snapshot is read through: its bytes hold only what differs from another blob, its parent (contract:
// artifacts 10.1, `depends_on`).
//
// P1  It uses its parent from before its bytes are kept until its replicas are gone: no chain has a hole.
// P2  Replicas of the two are kept each for itself; who bases a disk on the child has the parent brought to the same node
//     (actors/instance/needs.ts). The child names it by a path from its own place, alike on every node (layout.ts).
import type { Wanted } from '../kernel/kind.ts';
import type { BlobState } from './state.ts';

/** Null: it is read by itself. */
export function parentOf({ source }: Pick<BlobState, 'source'>): string | null {
  return source?.kind === 'spool' ? (source.dependsOn ?? null) : null;
}

/** What has to be before it is fetched; null: nothing. */
export function parentEffect(state: BlobState): Wanted<'hold-parent'> | null {
  const parent = parentOf(state);
  return parent === null || state.isParentHeld ? null : { name: 'hold-parent', key: parent };
}
