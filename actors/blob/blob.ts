// A blob: fetched, checked and hashed by one node before it counts, kept while something uses it.
//
// initial ──fetched──▶ created ──last unuse──▶ delete-wait ──replicas-removed──▶ deleted
//    └── fetch refused or given up ──▶ error ──last unuse──▶ delete-wait
//
// B1  What was given up is removed from its node at once, under a newer generation than the fetch had.
// B2  A complete replica goes only when nothing uses the blob: disks may be based on it.
// B3  Users are told until they have heard; one that does not know the blob (any more) is no user. One that needs a
//     replica on its node is told once that is there; one that bases a disk on it, also from which blob (transcode.ts).
// B4  Once its bytes are known, as many copies as wanted are kept, as nodes come and go (copies.ts, replicas.ts).
import {
  defineKind,
  next,
  PATIENT,
  PROMPT,
  refuse,
  restartThenPark,
  STANDING,
} from '../kernel/kind.ts';
import type { EffectPolicy, KernelMessage, Passing, Step, Turn, Wanted } from '../kernel/kind.ts';
import { failure, isForgettable, newLife } from '../kernel/object.ts';
import { withMetadata } from '../kernel/metadata.ts';
import { decoder } from '../kernel/schema.ts';
import {
  INSISTENT,
  isPaused,
  isWanted,
  setBack,
  timerOf,
  tryAgain,
  withSetback,
} from '../kernel/setback.ts';
import type { ErrorCode } from '../kernel/errors.ts';
import { sourcesFor } from './copies.ts';
import { replicasByNode, withDepartures, withLazyUsers, withTranscodes } from './migrate.ts';
import {
  copied,
  copyFailed,
  copyKey,
  copyRemoved,
  copyToNeeded,
  neededOn,
  newReplica,
  nodeGone,
  nodesChanged,
  notInUse,
  replicasAt,
  replicaTimer,
} from './replicas.ts';
import { BlobState, decodeBlobMessage, type BlobMessage } from './state.ts';
import { toBeTold, withPatience } from './told.ts';
import { transcodeChanged, transcodeFailed, wantedAsDisk, withTranscode } from './transcode.ts';

export type BlobEffect =
  | 'fetch'
  | 'tell-users'
  | 'place-copies'
  | 'copy'
  | 'remove-copy'
  | 'make-transcode'
  | 'remove-replicas'
  | 'forget';

type Of<K extends BlobMessage['kind']> = Extract<BlobMessage, { kind: K }>;

/** Longest a fetch may take; a broken-off one is resumed, not begun again. */
const TRY_MS = 1_800_000;
/** The same across restarts, which begin to count anew; longer, so that the effect's own reason is the one that is seen. */
const FETCH_MS = TRY_MS + 30_000;
const REMOVE_MS = 300_000;
const FETCHING: EffectPolicy = { deadlineMs: TRY_MS, backoffMs: 500, maxBackoffMs: 15_000 };

export const initial: BlobState = {
  phase: 'none',
  source: null,
  content: null,
  replicas: {},
  users: [],
  needs: {},
  diskUsers: [],
  lazyFrom: {},
  transcode: null,
  departures: 0,
  progress: { step: '', percent: null },
  generation: 0,
  setback: null,
  ...newLife,
};

function transition(
  state: BlobState,
  message: BlobMessage | KernelMessage,
  turn: Turn,
): Step<BlobState> {
  return withTranscode(taken(state, message, turn), turn);
}

function taken(
  state: BlobState,
  message: BlobMessage | KernelMessage,
  turn: Turn,
): Step<BlobState> {
  if (state.phase === 'none' && message.kind !== 'create') {
    return refuse(state, 'object/not-found', `blob ${turn.id} does not exist`);
  }
  switch (message.kind) {
    case 'create':
      return create(state, message, turn);
    case 'progressed':
      return progressed(state, message);
    case 'fetched':
      return fetched(state, message, turn);
    case 'use':
      return use(state, message.user, turn);
    case 'need':
      return need(state, message, turn);
    case 'nodes-changed':
      return nodesChanged(state, message, turn);
    case 'node-gone':
      if (state.phase !== 'initial') return nodeGone(state, message, turn);
      return fetcherGone(state, message.node, turn);
    case 'copied':
      return copied(state, message);
    case 'copy-removed':
      return copyRemoved(state, message);
    case 'describe':
      return next(state, [], state.content);
    case 'holders':
      return holders(state, message.node, turn);
    case 'unuse':
      return unuse(state, [message.user], turn);
    case 'users-gone':
      return unuse(state, message.users, turn);
    case 'account-for': {
      const isKept = Object.hasOwn(state.replicas, message.node) && state.phase !== 'deleted';
      return next(state, [], { isKept, generation: state.generation });
    }
    case 'blob-changed':
      return transcodeChanged(state, message);
    case 'delete':
      return requestDelete(state, turn);
    case 'replicas-removed':
      return replicasRemoved(state, message.generation, turn);
    case 'forgotten':
      return next(state.forgetting ? null : state);
    case 'effect-failed':
      return effectFailed(state, message, turn);
    case 'time-reached':
      return timeReached(state, turn);
  }
}

function create(state: BlobState, message: Of<'create'>, turn: Turn): Step<BlobState> {
  if (state.phase !== 'none') return next(state);
  const { source, node, user } = message;
  const replicas = { [node]: newReplica(1) };
  const asked = { ...state, source, replicas, users: [user], generation: 1 };
  return next({ ...asked, phase: 'initial', sinceMs: turn.now }, [
    { type: 'audit', message: 'fetch started', extra: { node } },
  ]);
}

function progressed(state: BlobState, { step, percent }: Of<'progressed'>): Step<BlobState> {
  const { progress } = state;
  const isNews = progress.step !== step || progress.percent !== percent;
  if (state.phase !== 'initial' || !isNews) return next(state);
  return next({ ...state, progress: { step, percent } }, [
    { type: 'status', message: 'fetching', extra: { step, percent } },
  ]);
}

function fetched(state: BlobState, message: Of<'fetched'>, turn: Turn): Step<BlobState> {
  if (state.phase !== 'initial') return next(state);
  const { sizeBytes, sha512, virtualSizeBytes } = message.content;
  const entries = Object.entries(state.replicas);
  const replicas = Object.fromEntries(
    entries.map(([node, replica]) => [node, { ...replica, phase: 'verified' as const }]),
  );
  const known = { ...state, replicas, phase: 'created', content: message.content } as const;
  return next({ ...copyToNeeded(known), sinceMs: turn.now }, [
    {
      type: 'audit',
      message: 'fetched',
      extra: { sizeBytes, sha512, virtualSizeBytes },
      durationMs: turn.now - state.sinceMs,
    },
  ]);
}

/** The node that fetched it was removed from the cluster: whoever waits for it is told so. */
function fetcherGone(state: BlobState, node: string, turn: Turn): Step<BlobState> {
  const { [node]: gone, ...replicas } = state.replicas;
  if (gone === undefined) return next(state);
  const reason = `node ${node}, which fetched it, was removed from the cluster`;
  return fail({ ...state, replicas }, 'image/not-fetched', reason, turn);
}

function use(state: BlobState, user: string, turn: Turn): Step<BlobState> {
  if (state.phase === 'delete-wait' || state.phase === 'deleted') {
    const reason = `blob ${turn.id} is being deleted; choose another image version`;
    return refuse(state, 'object/wrong-phase', reason);
  }
  if (state.users.includes(user)) return next(state, [], state.phase);
  return next({ ...state, users: [...state.users, user], setback: null }, [], state.phase);
}

function need(state: BlobState, message: Of<'need'>, turn: Turn): Step<BlobState> {
  const { user, node, forDisk, lazyFromBytes } = message;
  const used = use(state, user, turn);
  if (used.refusal !== null || used.state === null) return used;
  const wanted = forDisk === true ? wantedAsDisk(used.state, user) : used.state;
  return next(neededOn(withPatience(wanted, user, lazyFromBytes), user, node));
}

function holders(state: BlobState, node: string, turn: Turn): Step<BlobState> {
  const { content, replicas } = state;
  if (state.phase !== 'created' || content === null) {
    return refuse(state, 'image/missing', `blob ${turn.id} has no replica yet, or none any more`);
  }
  return next(state, [], { content, nodes: sourcesFor(node, turn.id, replicas) });
}

function unuse(state: BlobState, gone: readonly string[], turn: Turn): Step<BlobState> {
  const users = state.users.filter((user) => !gone.includes(user));
  if (users.length === state.users.length) return next(state);
  const needs = Object.fromEntries(
    Object.entries(state.needs).filter(([user]) => !gone.includes(user)),
  );
  const diskUsers = state.diskUsers.filter((user) => !gone.includes(user));
  const lazyFrom = Object.fromEntries(
    Object.entries(state.lazyFrom).filter(([user]) => !gone.includes(user)),
  );
  const departures = state.departures + 1;
  const replicas = notInUse(state.replicas);
  const left = { ...state, users, needs, diskUsers, lazyFrom, departures, replicas };
  if (left.users.length > 0 || state.phase === 'delete-wait' || state.phase === 'deleted') {
    return next(left);
  }
  return startDeleting(left, turn);
}

function requestDelete(state: BlobState, turn: Turn): Step<BlobState> {
  if (state.phase === 'delete-wait' || state.phase === 'deleted') return next(state);
  if (state.phase === 'initial') {
    return fail(state, 'image/missing', 'the fetch was called off', turn);
  }
  const [user] = state.users;
  if (user === undefined) return startDeleting(state, turn);
  const reason = `blob ${turn.id} is used by ${user}; delete its users first`;
  return refuse(state, 'object/wrong-phase', reason);
}

function startDeleting(state: BlobState, turn: Turn): Step<BlobState> {
  const leaving = {
    phase: 'delete-wait',
    generation: state.generation + 1,
    setback: null,
  } as const;
  return next({ ...state, ...leaving, sinceMs: turn.now }, [
    { type: 'audit', message: 'no longer used, deleting' },
  ]);
}

function replicasRemoved(state: BlobState, generation: number, turn: Turn): Step<BlobState> {
  if (generation !== state.generation) return next(state);
  const without = { ...state, replicas: {}, setback: null };
  if (state.phase === 'error' && isRemovable(state)) {
    // Parked while it was being deleted: nobody else will ask for it again.
    return state.users.length > 0 ? next(without) : startDeleting(without, turn);
  }
  if (state.phase !== 'delete-wait') return next(state);
  return next({ ...without, phase: 'deleted', sinceMs: turn.now, deletedAtMs: turn.now }, [
    { type: 'audit', message: 'deleted' },
  ]);
}

function timeReached(state: BlobState, turn: Turn): Step<BlobState> {
  if (isForgettable(state, turn.now)) return next({ ...state, forgetting: true, setback: null });
  if (state.phase === 'initial' && state.sinceMs + FETCH_MS <= turn.now) {
    const reason = `the image was not fetched within ${TRY_MS / 60_000} minutes`;
    return fail(state, 'object/deadline', reason, turn);
  }
  return next(tryAgain(replicasAt(state, turn.now), turn.now));
}

function effectFailed(
  state: BlobState,
  message: Extract<KernelMessage, { kind: 'effect-failed' }>,
  turn: Turn,
): Step<BlobState> {
  if (!isWanted(effects(state), message)) return next(state);
  const { effect, key, code, reason } = message;
  if (effect === 'fetch') return fail(state, code, reason, turn);
  // One node's trouble does not hold up what is done with the others.
  if (effect === 'copy' || effect === 'remove-copy') {
    return copyFailed(state, key, failure(code, reason), turn);
  }
  if (effect === 'make-transcode') return transcodeFailed(state, { code, reason });
  return setBack(state, message, turn);
}

function fail(state: BlobState, code: ErrorCode, reason: string, turn: Turn): Step<BlobState> {
  const failed = { phase: 'error', generation: state.generation + 1, setback: null } as const;
  return next({ ...state, ...failed, sinceMs: turn.now, failure: failure(code, reason) }, [
    { type: 'audit', message: 'fetch failed', extra: { code, reason } },
  ]);
}

function effects(state: BlobState): Wanted<BlobEffect>[] {
  if (state.phase === 'created') return keepingEffects(state);
  if (isPaused(state)) return [];
  const remove = { name: 'remove-replicas', key: String(state.generation) } as const;
  switch (state.phase) {
    case 'none':
      return [];
    case 'initial':
      return [{ name: 'fetch', key: '' }];
    case 'error': {
      const isRemoved = Object.keys(state.replicas).length === 0 || !isRemovable(state);
      return isRemoved ? tellEffect(state) : [...tellEffect(state), remove];
    }
    case 'delete-wait':
      return [remove];
    case 'deleted':
      return state.forgetting ? [{ name: 'forget', key: '' }] : [];
  }
}

/** A user that cannot be told, and pauses, holds up no copy. */
function keepingEffects(state: BlobState): Wanted<BlobEffect>[] {
  const replicas = Object.entries(state.replicas).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const copies = replicas.flatMap(([node, replica]): Wanted<BlobEffect>[] => {
    if (replica.awayUntilMs !== null || replica.retryAtMs !== null) return [];
    const key = copyKey(node, replica);
    // Side by side: one node that is slow does not hold up another that somebody waits for.
    if (replica.phase === 'copying') return [{ name: 'copy', key, lane: node }];
    return replica.phase === 'removing' ? [{ name: 'remove-copy', key, lane: node }] : [];
  });
  const known = replicas.map(([node, { phase, generation, retryAtMs, isInUse }]) =>
    [node, phase, generation, retryAtMs === null, isInUse].join(),
  );
  const place = { name: 'place-copies', key: `${state.generation} ${known.join(' ')}` } as const;
  const work = [...copies, ...transcodeEffect(state)];
  return isPaused(state) ? work : [...tellEffect(state), place, ...work];
}

function transcodeEffect({ transcode }: BlobState): Wanted<BlobEffect>[] {
  if (transcode?.phase !== 'making') return [];
  return [{ name: 'make-transcode', key: transcode.blobId, lane: 'transcode' }];
}

/** A new one to be told is told at once; the ones told before hear it again, harmlessly. */
function tellEffect(state: BlobState): Wanted<BlobEffect>[] {
  const told = toBeTold(state).map(({ user, failed, isOnItsWay }) => {
    if (failed !== null) return `${user} failed`;
    return isOnItsWay === true ? `${user} early` : user;
  });
  return told.length > 0 ? [{ name: 'tell-users', key: `${state.departures} ${told.join()}` }] : [];
}

/** Half made, or needed by nobody. */
function isRemovable(state: BlobState): boolean {
  return state.content === null || state.users.length === 0;
}

function passing(state: BlobState): Passing<BlobMessage> | null {
  const since = { sinceMs: state.sinceMs, cancel: { kind: 'delete' } } as const;
  if (state.phase === 'initial') {
    const { step, percent } = state.progress;
    const reason =
      percent === null ? `fetching: ${step || 'starting'}` : `fetching: ${step} ${percent} %`;
    return { ...since, reason, deadlineAtMs: state.sinceMs + FETCH_MS };
  }
  if (state.phase === 'delete-wait') {
    const reason = withSetback('removing replicas', state);
    return { ...since, reason, deadlineAtMs: state.sinceMs + REMOVE_MS };
  }
  return null;
}

/** Crashes of its own logic: what was only half fetched is removed (B1), what may be in use stays (B2). */
function parked(state: BlobState, reason: string, now: number): BlobState {
  const why = { failure: failure('actor/crashed', reason), setback: null };
  if (state.phase === 'deleted') return { ...state, ...why };
  const generation = state.generation + (state.phase === 'error' ? 0 : 1);
  return { ...state, ...why, generation, phase: 'error', sinceMs: now };
}

function earliest(a: number | null, b: number | null): number | null {
  return a === null || b === null ? (a ?? b) : Math.min(a, b);
}

export const blob = withMetadata(
  defineKind<BlobState, BlobMessage, BlobEffect>({
    kind: 'blob',
    placement: 'sharded',
    initial,
    decodeMessage: decodeBlobMessage,
    transition,
    effects,
    policies: {
      fetch: FETCHING,
      'tell-users': INSISTENT,
      'place-copies': PROMPT,
      copy: FETCHING,
      'remove-copy': INSISTENT,
      'make-transcode': PATIENT,
      'remove-replicas': INSISTENT,
      forget: STANDING,
    },
    passing,
    timer: (state) => earliest(timerOf(state), replicaTimer(state)),
    index: () => null,
    onCrash: restartThenPark,
    parked,
    snapshot: {
      schema: 5,
      decode: decoder('blob', BlobState, 'actor/bad-snapshot'),
      migrations: { 1: replicasByNode, 2: withDepartures, 3: withTranscodes, 4: withLazyUsers },
    },
  }),
);
