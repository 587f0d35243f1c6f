// What happens to a blob's replicas: made, confirmed, out of reach, failed, given up. Where they are to be is decided
// in copies.ts.
//
//   copying ──copied──▶ verified ──surplus──▶ removing ──copy-removed──▶ (none)
//      ▲ ◀─copy-damaged─┘ └── the last one ──▶ damaged ── a good one is there ──▶ copying
//      │ ▲                 │ away for long       ▲
//      │ └──back, again────┴──▶ lost              │
//      └──given up──▶ failed ─────────────────────┘
//
// D1  A change of what a node is wanted to do raises the generation, which its executor is told: a late copy cannot undo
//     a removal, nor the other way round. A record that goes raises it too, so that where copies are to be is decided again.
// D2  A node that comes back is asked whether it still has the replica (phase `copying`) before that counts again.
// D3  Where one cannot be made or removed it is tried again ever more rarely, and the 1st, 2nd, 4th, 8th … failure in a
//     row is an event: a disk that is full for a week does not fill the history.
// D4  A copy that has rotted, or whose file is gone, is made again from a good one: its node puts the good bytes in the
//     place of the bad ones once they are there (damage.ts).
// D5  The record of a replica goes when its node has removed it, or is gone for good and another good one is there.
import { next, type EventDraft, type Step, type Turn } from '../kernel/kind.ts';
import type { Failure } from '../kernel/object.ts';
import { isGood, planCopies } from './copies.ts';
import { shortageAfter } from './shortage.ts';
import type { BlobMessage, BlobState, Replica } from './state.ts';

type Of<K extends BlobMessage['kind']> = Extract<BlobMessage, { kind: K }>;
type Replicas = BlobState['replicas'];

/** Before a node on which one could not be made, or removed, is tried again; doubles up to LONGEST_RETRY_MS. */
const RETRY_MS = 600_000;
const LONGEST_RETRY_MS = 86_400_000;

/** One that is to be made, after so many failures in a row. */
export function newReplica(
  generation: number,
  about: Partial<Pick<Replica, 'failures' | 'isWhole' | 'usedAtMs'>> = {},
): Replica {
  const { failures = 0, isWhole = false, usedAtMs = 0 } = about;
  return {
    phase: 'copying',
    generation,
    awayUntilMs: null,
    isInUse: false,
    isWhole,
    usedAtMs,
    failure: null,
    failures,
    retryAtMs: null,
  };
}

/** How the nodes are now, and how many copies there are to be. */
export function nodesChanged(
  state: BlobState,
  { nodes, copies, patienceMs }: Of<'nodes-changed'>,
  turn: Turn,
): Step<BlobState> {
  if (state.phase !== 'created') return next(state);
  const up = new Map(nodes.map(({ node, isUp }) => [node, isUp]));
  const generation = state.generation + 1;
  const seen = mapReplicas(state.replicas, (replica, node) => {
    const isUp = up.get(node);
    if (isUp === undefined) return replica;
    return isUp
      ? back(replica, generation)
      : { ...replica, awayUntilMs: replica.awayUntilMs ?? turn.now + patienceMs };
  });
  const needed = new Set(Object.values(state.needs));
  const sizeBytes = state.content?.sizeBytes ?? 0;
  const view = { blobId: turn.id, sizeBytes, copies, nodes, replicas: seen, needed };
  const plan = planCopies(view);
  const { make, giveUp } = plan;
  const { shortage, events } = shortageAfter(state.shortage, view, plan);
  const replicas = { ...seen };
  for (const node of make) replicas[node] = madeAgain(generation, seen[node]);
  for (const node of giveUp) {
    replicas[node] = {
      ...newReplica(generation, { usedAtMs: seen[node]?.usedAtMs ?? 0 }),
      phase: 'removing',
    };
  }
  return changed({ ...state, shortage }, replicas, [
    ...make.filter((node) => !seen[node]?.failures).map((node) => event('copying', node)),
    ...giveUp.map((node) => event('giving up a copy that is not needed', node)),
    ...events,
  ]);
}

/** To be made, where one is or was. */
function madeAgain(generation: number, before: Replica | undefined): Replica {
  const { isInUse = false, phase } = before ?? {};
  const made = newReplica(generation, before);
  return phase === 'damaged' ? { ...made, isInUse, isWhole: false } : made;
}

/** Its node is there: what was out of reach is asked for again (D2). */
function back(replica: Replica, generation: number): Replica {
  if (replica.awayUntilMs === null) return replica;
  const isKnown = replica.phase === 'removing' || replica.phase === 'damaged';
  if (isKnown) return { ...replica, awayUntilMs: null };
  const isWhole = replica.phase === 'copying' ? replica.isWhole : replica.phase !== 'failed';
  return { ...newReplica(generation, { usedAtMs: replica.usedAtMs }), isWhole };
}

/** A machine has left the cluster for good. */
export function nodeGone(state: BlobState, { node }: Of<'node-gone'>, turn: Turn): Step<BlobState> {
  const { [node]: gone, ...others } = state.replicas;
  if (gone === undefined || state.phase === 'initial') return next(state);
  const isLast = state.phase === 'created' && !Object.values(others).some(isGood);
  const generation = state.generation + 1;
  if (!isLast) {
    const left = { ...state, replicas: others, generation };
    return next(left, [event('a copy is gone with its node', node)]);
  }
  // The only trace of where the bytes are: the machine may yet be brought back.
  if (gone.phase === 'lost') return next(state);
  const lost = { ...gone, phase: 'lost', awayUntilMs: gone.awayUntilMs ?? turn.now } as const;
  return changed(state, { ...others, [node]: lost }, [event('the last copy is gone', node)]);
}

/** Keeps it, and has it on this node. */
export function neededOn(
  before: BlobState,
  { user, node }: { readonly user: string; readonly node: string },
  now: number,
): BlobState {
  const had = before.needs[user];
  const isElsewhere = had !== undefined && had !== node;
  const state = { ...before, departures: before.departures + (isElsewhere ? 1 : 0) };
  const needs = { ...state.needs, [user]: node };
  const there = state.replicas[node];
  if (state.phase !== 'created') return { ...state, needs };
  // Of one that is damaged nothing better is in reach: the user is told so.
  const stays = there?.phase === 'verified' || there?.phase === 'damaged';
  const isComing = stays || (there?.phase === 'copying' && isUrgent(before, node));
  if (there !== undefined && isComing) {
    const used = { ...there, usedAtMs: now };
    return { ...state, needs, replicas: { ...state.replicas, [node]: used } };
  }
  // One that was made for nobody in particular is asked for again: what somebody waits for goes first.
  const generation = state.generation + 1;
  // What may be whole there is confirmed by that, and not begun anew.
  const isWhole = there?.phase === 'lost' || there?.isWhole === true;
  const made = newReplica(generation, { usedAtMs: now, isWhole });
  return { ...state, needs, generation, replicas: { ...state.replicas, [node]: made } };
}

/** Somebody waits for the copy on this node: it is not held up by limits on those that nobody waits for. */
export function isUrgent({ needs }: Pick<BlobState, 'needs'>, node: string): boolean {
  return Object.values(needs).includes(node);
}

/** The bytes are known: they can be copied to where they are needed. */
export function copyToNeeded(state: BlobState, now: number): BlobState {
  return Object.entries(state.needs).reduce(
    (sum, [user, node]) => neededOn(sum, { user, node }, now),
    state,
  );
}

export function copied(state: BlobState, message: Of<'copied'>): Step<BlobState> {
  const { node, generation } = message;
  const replica = state.replicas[node];
  if (replica?.phase !== 'copying' || replica.generation !== generation) return next(state);
  const verified = { ...replica, phase: 'verified', failures: 0 } as const;
  const replicas = { ...state.replicas, [node]: verified };
  return next({ ...state, replicas }, [event('a copy is there and verified', node)]);
}

/** Its node has removed it, or keeps it because a disk there is based on it. */
export function copyRemoved(
  state: BlobState,
  { node, generation, isInUse }: Of<'copy-removed'>,
): Step<BlobState> {
  const { [node]: replica, ...others } = state.replicas;
  if (replica?.phase !== 'removing' || replica.generation !== generation) return next(state);
  const raised = state.generation + 1;
  if (!isInUse) {
    const left = { ...state, replicas: others, generation: raised };
    return next(left, [event('a copy was removed', node)]);
  }
  const kept = { ...newReplica(raised, { usedAtMs: replica.usedAtMs }), isInUse: true };
  return changed(state, { ...others, [node]: kept }, [
    event('a copy is kept, a disk needs it', node),
  ]);
}

/** Copying or removing was given up for now; `key` is the effect's (copyKey). */
export function copyFailed(
  state: BlobState,
  key: string,
  failure: Failure,
  turn: Turn,
): Step<BlobState> {
  const node = nodeOfKey(key);
  const replica = state.replicas[node];
  if (replica === undefined) return next(state);
  const phase = replica.phase === 'copying' ? 'failed' : replica.phase;
  const failures = replica.failures + 1;
  const pauseMs = Math.min(RETRY_MS * 2 ** (failures - 1), LONGEST_RETRY_MS);
  const failed = { ...replica, phase, failure, failures, retryAtMs: turn.now + pauseMs };
  const { code, reason } = failure;
  const isNews = Number.isInteger(Math.log2(failures));
  const what = phase === 'failed' ? 'a copy could not be made' : 'a copy could not be removed';
  const extra = { node, code, reason, failures };
  const events = isNews ? [{ type: 'status', message: what, extra } as const] : [];
  return next({ ...state, replicas: { ...state.replicas, [node]: failed } }, events);
}

/** Those away for long are lost, and what failed may be tried again. */
export function replicasAt(state: BlobState, now: number): BlobState {
  if (state.phase !== 'created') return state;
  const needed = new Set(Object.values(state.needs));
  const generation = state.generation + 1;
  const replicas = mapReplicas(state.replicas, (replica, node) => {
    const { phase, awayUntilMs, retryAtMs } = replica;
    if (isWaiting(replica) && (awayUntilMs ?? now) <= now) {
      return { ...replica, phase: 'lost' };
    }
    if (retryAtMs === null || retryAtMs > now) return replica;
    if (phase === 'removing') return { ...replica, generation, retryAtMs: null };
    if (!needed.has(node)) return { ...replica, retryAtMs: null };
    return newReplica(generation, replica);
  });
  return changed(state, replicas, []).state ?? state;
}

/** When replicasAt() has something to do; null: never. */
export function replicaTimer({ phase, replicas }: BlobState): number | null {
  if (phase !== 'created') return null;
  const times = Object.values(replicas).flatMap((replica) => {
    const lostAt = isWaiting(replica) ? [replica.awayUntilMs ?? 0] : [];
    return replica.retryAtMs === null ? lostAt : [...lostAt, replica.retryAtMs];
  });
  return times.length === 0 ? null : Math.min(...times);
}

/** A disk that was based on one may be gone with its user, which needed it on these nodes until now. */
export function notInUse(replicas: Replicas, nodes: ReadonlySet<string>, now: number): Replicas {
  return mapReplicas(replicas, (replica, node) => {
    const usedAtMs = nodes.has(node) ? now : replica.usedAtMs;
    return { ...replica, isInUse: false, usedAtMs };
  });
}

/** Names one wish to one node. */
export function copyKey(node: string, { generation }: Replica): string {
  return `${node} ${generation}`;
}

export function nodeOfKey(key: string): string {
  return key.slice(0, key.lastIndexOf(' '));
}

/** Away, and not given up yet. */
function isWaiting({ phase, awayUntilMs }: Replica): boolean {
  return awayUntilMs !== null && (phase === 'verified' || phase === 'copying');
}

/** With a generation of its own if any node is wanted to do something else (D1). */
export function changed(
  state: BlobState,
  replicas: Replicas,
  events: readonly EventDraft[],
): Step<BlobState> {
  const generation = Math.max(
    state.generation,
    ...Object.values(replicas).map((replica) => replica.generation),
  );
  return next({ ...state, replicas, generation }, events);
}

function event(message: string, node: string): EventDraft {
  return { type: 'audit', message, extra: { node } };
}

function mapReplicas(
  replicas: Replicas,
  change: (replica: Replica, node: string) => Replica,
): Replicas {
  return Object.fromEntries(
    Object.entries(replicas).map(([node, replica]) => [node, change(replica, node)]),
  );
}
