// Which member ought to run which shard: weighted rendezvous hashing. A pure function of the member list, so
// every daemon that sees the same list computes the same answer, and nobody has to lead.
//
// P1  Of all members the one with the highest score for a shard is meant. A member that joins takes shards
//     only for itself, one that leaves gives up only its own: nothing moves between the others.
// P2  A member gets shards in proportion to its weight; weight 0 gets none, unless all have it: somebody has to decide.
// P3  The scores are part of the protocol: daemons of two versions must place alike.
import { createHash } from 'node:crypto';
import { SHARDS } from './shard.ts';

/** What placement needs to know of a member. */
export interface Carrier {
  readonly node: string;
  /** Share of the shards relative to others; 0: carries no actors. */
  readonly weight: number;
}

/**
 * Those that may carry shards: of the newest format there is. The others could not read what those write, and would have
 * to leave it alone; while a cluster is being upgraded the new daemons decide for all.
 */
export function carriersOf<M extends { readonly format: number }>(members: readonly M[]): M[] {
  const newest = Math.max(...members.map(({ format }) => format));
  return members.filter(({ format }) => format === newest);
}

type Placed = readonly (string | null)[];

/** The last answer. It is asked for at each change of an owner too, of which a hand-over makes many and moves no member. */
let last: { readonly carriers: string; readonly placed: Placed } | null = null;

/** The wanted owner of each shard, by shard; null where nobody carries actors. */
export function placeShards(members: readonly Carrier[]): Placed {
  const isAnybody = members.some(({ weight }) => weight > 0);
  const carriers = members
    .map(({ node, weight }) => ({ node, weight: isAnybody ? weight : 1 }))
    .filter(({ weight }) => weight > 0)
    .toSorted((a, b) => (a.node < b.node ? -1 : 1));
  const name = JSON.stringify(carriers);
  if (last?.carriers !== name) last = { carriers: name, placed: place(carriers) };
  return last.placed;
}

function place(carriers: readonly Carrier[]): Placed {
  const seeded = carriers.map(({ node, weight }) => ({ node, weight, seed: seedOf(node) }));
  return Array.from({ length: SHARDS }, (_, shard) => {
    let [best, highest] = [null as string | null, -1];
    for (const { node, weight, seed } of seeded) {
      const score = weight / -Math.log(uniform(seed, shard));
      if (score > highest) [best, highest] = [node, score];
    }
    return best;
  });
}

type Seed = readonly [number, number];

/** One slow hash for a name; the shards are mixed in by a fast one. */
function seedOf(node: string): Seed {
  const digest = createHash('sha256').update(node).digest();
  return [digest.readUInt32BE(0), digest.readUInt32BE(4)];
}

/** In (0, 1), 52 bits. */
function uniform([a, b]: Seed, shard: number): number {
  const high = mix(a ^ mix(shard + 1));
  const low = mix((b + high) | 0);
  return (high * 2 ** 20 + (low >>> 12) + 0.5) / 2 ** 52;
}

/** The finalizer of MurmurHash3 (32 bits): every bit of the input changes half of the output's. */
function mix(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
