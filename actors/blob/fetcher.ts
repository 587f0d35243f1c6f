// Which node fetches a blob, and what becomes of the fetch when that node is lost. Only while the blob is `initial`.
//
// T1  A node that is back soon goes on where it was: its half fetched bytes are there still.
// T2  Else, or if it has no room, another takes over what any node can fetch, from the beginning. What the first has of it is removed when it is
//     back. What only the lost node can fetch (its files, bytes that were brought to it, its replica) fails with the reason.
import { next, type EventDraft, type Step, type Turn } from '../kernel/kind.ts';
import { failure, type Failure } from '../kernel/object.ts';
import { bestNode } from './copies.ts';
import { newReplica } from './replicas.ts';
import type { BlobMessage, BlobState, Source } from './state.ts';

type Of<K extends BlobMessage['kind']> = Extract<BlobMessage, { kind: K }>;

/** Longer than a daemon takes to start again; somebody waits for the image meanwhile. */
const MOST_PATIENCE_MS = 60_000;

/** The node that fetches; null: another has to be chosen. */
export function fetcherOf({ replicas }: BlobState): string | null {
  const found = Object.entries(replicas).find(([, { phase }]) => phase === 'copying');
  return found?.[0] ?? null;
}

/** Until when the return of the node that fetches is waited for; null: it is there, or given up. */
export function fetcherTimer(state: BlobState): number | null {
  if (state.phase !== 'initial') return null;
  return state.replicas[fetcherOf(state) ?? '']?.awayUntilMs ?? null;
}

/** Its time is over: from now on another one is looked for. */
export function fetcherAt(state: BlobState, now: number): BlobState {
  const awayUntilMs = fetcherTimer(state);
  return awayUntilMs === null || awayUntilMs > now ? state : givenUp(state, now);
}

/** What becomes of a fetch: it goes on, on whichever node, or there is a reason why it cannot. */
export type FetchStep =
  | { readonly step: Step<BlobState> }
  | { readonly failed: Failure; readonly state: BlobState };

/** Members have come or gone. */
export function fetcherSeen(
  state: BlobState,
  { nodes, patienceMs }: Of<'nodes-changed'>,
  turn: Turn,
): FetchStep {
  const fetcher = fetcherOf(state);
  if (fetcher === null) return takenOver(state, nodes, turn);
  const replica = state.replicas[fetcher];
  const isUp = nodes.find(({ node }) => node === fetcher)?.isUp;
  if (replica === undefined || isUp === undefined || isUp === (replica.awayUntilMs === null)) {
    return { step: next(state) };
  }
  if (isUp) return { step: next(goingOn(state, fetcher), [event('fetch goes on', fetcher)]) };
  const awayUntilMs = turn.now + Math.min(patienceMs, MOST_PATIENCE_MS);
  const replicas = { ...state.replicas, [fetcher]: { ...replica, awayUntilMs } };
  const told = event('the node that fetches is away', fetcher);
  return { step: next({ ...state, replicas }, [told]) };
}

/** It has no room: another one may. */
export function fetcherFull(
  state: BlobState,
  { node, reason }: Of<'no-room'>,
  turn: Turn,
): BlobState {
  if (state.phase !== 'initial' || fetcherOf(state) !== node) return state;
  const left = givenUp(state, turn.now);
  const replica = { ...newReplica(left.generation), phase: 'removing' } as const;
  const full = { ...replica, failure: failure('host/disk-full', reason) };
  return { ...left, replicas: { ...left.replicas, [node]: full } };
}

/** Its daemon may be another one, which knows nothing of it: a new wish is told. */
function goingOn(state: BlobState, node: string): BlobState {
  const generation = state.generation + 1;
  return { ...state, generation, replicas: { ...state.replicas, [node]: newReplica(generation) } };
}

/** It has left the cluster for good. */
export function fetcherGone(state: BlobState, node: string): BlobState {
  const { [node]: gone, ...replicas } = state.replicas;
  return gone === undefined ? state : { ...state, replicas, generation: state.generation + 1 };
}

/** What it has of the blob is to be removed there once it is back. */
function givenUp(state: BlobState, now: number): BlobState {
  const node = fetcherOf(state);
  if (node === null) return state;
  const generation = state.generation + 1;
  const left = { ...newReplica(generation), phase: 'removing', awayUntilMs: now } as const;
  return { ...state, generation, replicas: { ...state.replicas, [node]: left } };
}

function takenOver(state: BlobState, nodes: Of<'nodes-changed'>['nodes'], turn: Turn): FetchStep {
  const [lost = 'the node that fetched it'] = Object.keys(state.replicas);
  const full = Object.values(state.replicas).find((replica) => replica.failure !== null)?.failure;
  const reason = whyBound(state.source, lost);
  if (reason !== null) return { failed: full ?? failure('image/not-fetched', reason), state };
  const mayHaveRoom = nodes.filter((one) => !state.replicas[one.node]?.failure);
  const node = bestNode(turn.id, mayHaveRoom);
  if (node === null) {
    if (full !== undefined && full !== null) return { failed: full, state };
    const text = `${lost} is away, and no other node is there that keeps images: bring one back, then ask for the image again`;
    return { failed: failure('image/not-fetched', text), state };
  }
  const generation = state.generation + 1;
  const replicas = { ...state.replicas, [node]: newReplica(generation) };
  const progress = { step: '', percent: null };
  const extra = { node, instead_of: lost };
  const told: EventDraft = { type: 'audit', message: 'fetch taken over', extra };
  return { step: next({ ...state, generation, replicas, progress }, [told]) };
}

/** Why no other node can fetch it; null: any can. */
function whyBound(source: Source | null, lost: string): string | null {
  switch (source?.kind) {
    case 'file':
      return `the file ${source.path} is on ${lost}, which is away: bring it back, then ask for the image again`;
    case 'spool':
      return `the bytes were brought to ${lost}, which is away: bring it back and try again, or bring them to another node`;
    case 'blob':
      return `${lost}, which made a disk of it, is away: start the instance again`;
    case 'url':
    case undefined:
      return null;
  }
}

function event(message: string, node: string): EventDraft {
  return { type: 'audit', message, extra: { node } };
}
