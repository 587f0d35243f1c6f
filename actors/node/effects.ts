// What a node does to others: tells the cluster what share of the work its daemon is to carry.
import type { Performers } from '../kernel/ports.ts';
import type { NodeEffect } from './node.ts';
import type { NodeMessage, NodeState } from './state.ts';

/** How the daemon stands in the cluster. */
export interface Standing {
  /** Share of the shards, by comparison with other daemons; 0: none. Quiet when it is so already. */
  readonly carry: (weight: number) => Promise<void>;
}

export function nodePerformers({
  carry,
}: Standing): Performers<NodeState, NodeMessage, NodeEffect> {
  return {
    announce: async ({ isDraining }) => {
      await carry(isDraining ? 0 : 1);
      return { kind: 'announced' };
    },
  };
}
