// A blob: fetched, checked and hashed by one node before it counts, kept while something uses it.
//
// initial ──fetched──▶ created ──last unuse──▶ delete-wait ──replicas-removed──▶ deleted
//    └── fetch refused or given up ──▶ error ──last unuse──▶ delete-wait
//
// B1  What was given up is removed from its node at once, under a newer generation than the fetch had.
// B2  A complete replica goes only when nothing uses the blob: disks may be based on it.
// B3  Users are told until they have heard; one that does not know the blob (any more) is no user. One that needs a
//     replica on its node is told once that is there; one that bases a disk on it, also from which blob (transcode.ts).
//     While it is fetched its node may be lost: fetcher.ts.
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
import type { EffectPolicy, KernelMessage, Passing, Step, Turn } from '../kernel/kind.ts';
import { failure, isForgettable, newLife, type Failure } from '../kernel/object.ts';
import { withMetadata } from '../kernel/metadata.ts';
import { decoder } from '../kernel/schema.ts';
import { INSISTENT, isWanted, setBack, timerOf, tryAgain, withSetback } from '../kernel/setback.ts';
import {
  fetcherAt,
  fetcherFull,
  fetcherGone,
  fetcherOf,
  fetcherSeen,
  fetcherTimer,
} from './fetcher.ts';
import { progressed } from './progress.ts';
import { copyDamaged, copyGood } from './damage.ts';
import {
  replicasByNode,
  withDepartures,
  withLazyUsers,
  withLastUse,
  withTimes,
  withTranscodes,
} from './migrate.ts';
import { sourcesFor } from './copies.ts';
import {
  copied,
  copyFailed,
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
import { withPatience } from './told.ts';
import { effects, isRemovable, type BlobEffect } from './wanted.ts';
import { described } from './facts.ts';
import { parentOf } from './parent.ts';
import {
  transcodeAt,
  transcodeChanged,
  transcodeDropped,
  transcodeFailed,
  transcodeIdle,
  transcodeTimer,
  wantedAsDisk,
  withTranscode,
} from './transcode.ts';

type Of<K extends BlobMessage['kind']> = Extract<BlobMessage, { kind: K }>;

/** Longest a fetch may take; a broken-off one is resumed, not begun again. */
const TRY_MS = 1_800_000;
/** The same across restarts, which begin to count anew; longer, so that the effect's own reason is the one that is seen. */
const FETCH_MS = TRY_MS + 30_000;
const UNHURRIED: ReadonlySet<string> = new Set(['describe', 'time-transcode', 'drop-transcode']);
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
  isParentHeld: false,
  fetchedAtMs: null,
  usedAtMs: null,
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
    case 'parent-held':
    case 'fetched':
    case 'no-room':
      return ofFetch(state, message, turn);
    case 'use':
      return use(state, message.user, turn);
    case 'need':
      return need(state, message, turn);
    case 'nodes-changed':
    case 'node-gone':
    case 'copied':
    case 'copy-removed':
    case 'copy-damaged':
    case 'copy-good':
      return ofReplicas(state, message, turn);
    case 'describe':
      return next(state, [], state.content);
    case 'described':
      return described(state, message.facts);
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
    case 'transcode-idle':
    case 'transcode-dropped':
      return ofAnother(state, message);
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

function ofFetch(
  state: BlobState,
  message: Of<'progressed' | 'parent-held' | 'fetched' | 'no-room'>,
  turn: Turn,
): Step<BlobState> {
  switch (message.kind) {
    case 'progressed':
      return progressed(state, message);
    case 'parent-held':
      return next(state.phase === 'initial' ? { ...state, isParentHeld: true } : state);
    case 'fetched':
      return fetched(state, message, turn);
    case 'no-room':
      return next(fetcherFull(state, message, turn));
  }
}

type OfReplicas =
  | 'nodes-changed'
  | 'node-gone'
  | 'copied'
  | 'copy-removed'
  | 'copy-damaged'
  | 'copy-good';

function ofReplicas(state: BlobState, message: Of<OfReplicas>, turn: Turn): Step<BlobState> {
  switch (message.kind) {
    case 'nodes-changed':
      return state.phase === 'initial'
        ? seen(state, message, turn)
        : nodesChanged(state, message, turn);
    case 'node-gone':
      if (state.phase !== 'initial') return nodeGone(state, message, turn);
      return next(fetcherGone(state, message.node));
    case 'copied':
      return copied(state, message);
    case 'copy-removed':
      return copyRemoved(state, message);
    case 'copy-damaged':
      return copyDamaged(state, message);
    case 'copy-good':
      return copyGood(state, message);
  }
}

/** What is said of the blobs that it uses itself. */
function ofAnother(
  state: BlobState,
  message: Of<'blob-changed' | 'transcode-idle' | 'transcode-dropped'>,
): Step<BlobState> {
  if (message.kind === 'transcode-idle') return transcodeIdle(state, message);
  if (message.kind === 'transcode-dropped') return transcodeDropped(state, message.blobId);
  // Of its parent there is nothing to do: it is there, or this one would not be.
  if (parentOf(state) === message.blobId) return next(state, [], state.phase !== 'deleted');
  return transcodeChanged(state, message);
}

function create(state: BlobState, message: Of<'create'>, turn: Turn): Step<BlobState> {
  if (state.phase !== 'none') return next(state);
  const { source, node, user } = message;
  const usedAtMs = turn.now;
  const replicas = { [node]: newReplica(1, { usedAtMs }) };
  const asked = { ...state, source, replicas, users: [user], generation: 1, usedAtMs };
  return next({ ...asked, phase: 'initial', sinceMs: turn.now }, [
    { type: 'audit', message: 'fetch started', extra: { node } },
  ]);
}

function fetched(state: BlobState, message: Of<'fetched'>, turn: Turn): Step<BlobState> {
  const fetcher = fetcherOf(state);
  const isOurs = fetcher !== null && (message.node ?? fetcher) === fetcher;
  if (state.phase !== 'initial' || !isOurs) return next(state);
  const { sizeBytes, sha512, virtualSizeBytes } = message.content;
  const entries = Object.entries(state.replicas);
  const replicas = Object.fromEntries(
    entries.map(([node, replica]) => [
      node,
      // A node that was lost meanwhile keeps its record: what it has is to be removed.
      node === fetcher ? { ...replica, phase: 'verified' as const, awayUntilMs: null } : replica,
    ]),
  );
  const known = { ...state, replicas, phase: 'created', content: message.content } as const;
  const came = { ...copyToNeeded(known, turn.now), fetchedAtMs: turn.now };
  return next({ ...came, sinceMs: turn.now }, [
    {
      type: 'audit',
      message: 'fetched',
      extra: { sizeBytes, sha512, virtualSizeBytes },
      durationMs: turn.now - state.sinceMs,
    },
  ]);
}

function seen(state: BlobState, message: Of<'nodes-changed'>, turn: Turn): Step<BlobState> {
  const fetch = fetcherSeen(state, message, turn);
  if ('step' in fetch) return fetch.step;
  return fail(fetch.state, fetch.failed, turn);
}

function use(state: BlobState, user: string, turn: Turn): Step<BlobState> {
  if (state.phase === 'delete-wait' || state.phase === 'deleted') {
    const reason = `blob ${turn.id} is being deleted; choose another image version`;
    return refuse(state, 'object/wrong-phase', reason);
  }
  if (state.users.includes(user)) return next(state, [], state.phase);
  const users = [...state.users, user];
  return next({ ...state, users, usedAtMs: turn.now, setback: null }, [], state.phase);
}

function need(state: BlobState, message: Of<'need'>, turn: Turn): Step<BlobState> {
  const { user, node, forDisk, lazyFromBytes } = message;
  const used = use(state, user, turn);
  if (used.refusal !== null || used.state === null) return used;
  const wanted = forDisk === true ? wantedAsDisk(used.state, user) : used.state;
  const patient = withPatience(wanted, user, lazyFromBytes);
  return next(neededOn(patient, { user, node }, turn.now));
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
  const left = gone.flatMap((user) => state.needs[user] ?? []);
  const replicas = notInUse(state.replicas, new Set(left), turn.now);
  const usedAtMs = turn.now;
  const unused = { ...state, users, usedAtMs, needs, diskUsers, lazyFrom, departures, replicas };
  if (unused.users.length > 0 || state.phase === 'delete-wait' || state.phase === 'deleted') {
    return next(unused);
  }
  return startDeleting(unused, turn);
}

function requestDelete(state: BlobState, turn: Turn): Step<BlobState> {
  if (state.phase === 'delete-wait' || state.phase === 'deleted') return next(state);
  if (state.phase === 'initial') {
    return fail(state, failure('image/missing', 'the fetch was called off'), turn);
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
    return fail(state, failure('object/deadline', reason), turn);
  }
  const seen = replicasAt(fetcherAt(state, turn.now), turn.now);
  return next(tryAgain(transcodeAt(seen, turn.now), turn.now));
}

function effectFailed(
  state: BlobState,
  message: Extract<KernelMessage, { kind: 'effect-failed' }>,
  turn: Turn,
): Step<BlobState> {
  if (!isWanted(effects(state), message)) return next(state);
  const { effect, key, code, reason } = message;
  if (effect === 'fetch' || effect === 'hold-parent') {
    return fail(state, failure(code, reason), turn);
  }
  // One node's trouble does not hold up what is done with the others.
  if (effect === 'copy' || effect === 'remove-copy') {
    return copyFailed(state, key, failure(code, reason), turn);
  }
  // Nobody waits for these; the next activation tries again.
  if (UNHURRIED.has(effect)) return next(state);
  if (effect === 'make-transcode') return transcodeFailed(state, { code, reason });
  // The next one is told; nothing waits for it.
  if (effect === 'tell-progress') return next(state);
  return setBack(state, message, turn);
}

function fail(state: BlobState, why: Failure, turn: Turn): Step<BlobState> {
  const failed = { phase: 'error', generation: state.generation + 1, setback: null } as const;
  return next({ ...state, ...failed, sinceMs: turn.now, failure: why }, [
    { type: 'audit', message: 'fetch failed', extra: { ...why } },
  ]);
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
      'hold-parent': PATIENT,
      fetch: FETCHING,
      'tell-users': INSISTENT,
      'tell-progress': PROMPT,
      'place-copies': PROMPT,
      copy: FETCHING,
      'remove-copy': INSISTENT,
      'make-transcode': PATIENT,
      'time-transcode': STANDING,
      'drop-transcode': STANDING,
      describe: STANDING,
      'remove-replicas': INSISTENT,
      forget: STANDING,
    },
    passing,
    timer: (state) => {
      const ofReplicas = fetcherTimer(state) ?? replicaTimer(state);
      return [ofReplicas, transcodeTimer(state)].reduce(earliest, timerOf(state));
    },
    index: () => null,
    onCrash: restartThenPark,
    parked,
    snapshot: {
      schema: 6,
      decode: decoder('blob', BlobState, 'actor/bad-snapshot'),
      migrations: {
        1: replicasByNode,
        2: withDepartures,
        3: withTranscodes,
        4: (state) => withTimes(withLastUse(withLazyUsers(state))),
        // Of what is there the list of digests has no hash: it is believed of complete holders only.
        5: (state) => state,
      },
    },
  }),
);
