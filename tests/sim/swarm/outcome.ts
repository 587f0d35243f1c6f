// What has become of those that fetched.
import type { Swarm, SwarmNode } from './net.ts';

/** How long the slowest took, in times of one copy on one link. Throws when one that lives has not got it. */
export function slowestTimes(swarm: Swarm, nodes: readonly SwarmNode[]): number {
  const took = nodes.flatMap(({ name, isDead, outcome, here }) => {
    if (isDead) return [];
    if (outcome !== null && 'tookMs' in outcome) return [outcome.tookMs];
    throw new Error(`${name}: ${here.size} chunks, ${JSON.stringify(outcome)}`);
  });
  return Math.max(...took) / swarm.idealMs;
}

/** A line for the reader of the test. */
export function describe(swarm: Swarm, nodes: readonly SwarmNode[]): string {
  const copies = `${swarm.sourceCopies.toFixed(2)} copies from the source`;
  return `${copies}, the slowest took ${slowestTimes(swarm, nodes).toFixed(1)} × one link`;
}
