// What clients are told of a blob beyond what it takes to use it. Who makes a blob says it with the rest; of one that is of
// an older version a node that holds it is asked, once.
import { next, type Step, type Wanted } from '../kernel/kind.ts';
import type { BlobState, Facts } from './state.ts';

/** Wanted while it is not known, and a node in reach could say. */
export function describeEffect({ content, replicas }: BlobState): Wanted<'describe'>[] {
  if (content === null || content.facts !== undefined) return [];
  const held = Object.entries(replicas).filter(
    ([, { phase, awayUntilMs }]) => phase === 'verified' && awayUntilMs === null,
  );
  const [node] = held.map(([name]) => name).toSorted();
  return node === undefined ? [] : [{ name: 'describe', key: node, lane: 'describe' }];
}

export function described(state: BlobState, facts: Facts): Step<BlobState> {
  const { content } = state;
  if (content === null || content.facts !== undefined) return next(state);
  return next({ ...state, content: { ...content, facts } });
}
