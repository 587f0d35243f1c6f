// One NIC of one instance on one network: holds its MAC and address from before the instance is
// placed until the instance is gone.
//
// initial ──reserved──▶ initial ──place, attached──▶ created ──delete──▶ delete-wait ──released──▶ deleted
//    └── nothing free, address taken ──▶ error ──delete──▶ delete-wait
//
// I1  The MAC is recorded as a candidate before it is claimed: whatever was claimed is given back.
// I2  The instance is told of every phase until it has heard; when it wants no such interface (any more),
//     the interface deletes itself.
// I3  Its floating address, while it has one, is float.ts's.
import {
  defineKind,
  isLate,
  next,
  refuse,
  restartThenPark,
  PATIENT,
  PROMPT,
  STANDING,
} from '../kernel/kind.ts';
import type { KernelMessage, Passing, Step, Turn, Wanted } from '../kernel/kind.ts';
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
import {
  awaitsFloat,
  floatEffects,
  floatFailed,
  floatPassing,
  floatReleased,
  floatReserved,
  newFloat,
  startDefloat,
  startFloat,
  type FloatEffect,
} from './float.ts';
import { MAC_TRIES, randomMac } from './mac.ts';
import { decodeInterfaceMessage, InterfaceState, type InterfaceMessage } from './state.ts';

export type InterfaceEffect =
  | 'reserve'
  | 'tell-instance'
  | 'attach'
  | 'release'
  | 'forget'
  | FloatEffect;

/** Longer than the effect tries, so that its own reason is the one that is seen. */
const RESERVE_MS = 90_000;
/** Longer than an instance may wait for its images. */
const INITIAL_MS = 2_160_000;
const RELEASE_MS = 300_000;

type Of<K extends InterfaceMessage['kind']> = Extract<InterfaceMessage, { kind: K }>;

export const initial: InterfaceState = {
  phase: 'none',
  networkId: '',
  instanceId: '',
  namespace: '',
  hostname: '',
  order: 0,
  model: 'virtio',
  requested: 'auto',
  requestedMac: null,
  macCandidate: null,
  macTries: 0,
  mac: null,
  ipv4: null,
  float: null,
  floats: 0,
  floatFailure: null,
  node: null,
  setback: null,
  ...newLife,
};

function transition(
  state: InterfaceState,
  message: InterfaceMessage | KernelMessage,
  turn: Turn,
): Step<InterfaceState> {
  if (state.phase === 'none' && message.kind !== 'create') {
    return refuse(state, 'object/not-found', `interface ${turn.id} does not exist`);
  }
  switch (message.kind) {
    case 'create':
      return create(state, message, turn);
    case 'reserved':
      return reserved(state, message);
    case 'mac-taken':
      return macTaken(state, message, turn);
    case 'place':
      if (state.phase !== 'initial') return next(state);
      return next({ ...state, node: message.node, setback: null });
    case 'attached':
      if (state.phase !== 'initial') return next(state);
      return next({ ...state, phase: 'created', sinceMs: turn.now }, [
        { type: 'status', message: 'attached to its network' },
      ]);
    case 'float':
      return startFloat(state, turn);
    case 'float-reserved':
      return floatReserved(state, message, turn);
    case 'defloat':
      return startDefloat(state, turn);
    case 'float-released':
      return floatReleased(state, message);
    case 'delete':
      return startDeleting(state, turn);
    case 'released': {
      if (state.phase !== 'delete-wait') return next(state);
      const gone = { phase: 'deleted', float: null, setback: null } as const;
      return next({ ...state, ...gone, sinceMs: turn.now, deletedAtMs: turn.now }, [
        { type: 'audit', message: 'deleted' },
      ]);
    }
    case 'forgotten':
      return next(state.forgetting ? null : state);
    case 'effect-failed':
      return effectFailed(state, message, turn);
    case 'time-reached':
      return timeReached(state, turn);
  }
}

function create(state: InterfaceState, message: Of<'create'>, turn: Turn): Step<InterfaceState> {
  // The instance asks again after a crash; the same wish is granted once.
  if (state.phase !== 'none') return next(state);
  const { kind: _, float: hasFloat, ...asked } = message;
  const macCandidate = asked.requestedMac === null ? randomMac(turn.random) : null;
  const wish = hasFloat ? { floats: 1, float: newFloat(1, true, turn.now) } : {};
  const made = { ...asked, ...wish, macCandidate, phase: 'initial', sinceMs: turn.now } as const;
  return next({ ...state, ...made }, [
    { type: 'audit', message: 'created interface', extra: { instance: message.instanceId } },
  ]);
}

function reserved(state: InterfaceState, { mac, ipv4 }: Of<'reserved'>): Step<InterfaceState> {
  if (state.phase !== 'initial' || state.mac !== null) return next(state);
  return next({ ...state, mac, ipv4 }, [
    { type: 'mutate', message: 'reserved', extra: { mac, ipv4 } },
  ]);
}

function macTaken(
  state: InterfaceState,
  { mac }: Of<'mac-taken'>,
  turn: Turn,
): Step<InterfaceState> {
  if (state.phase !== 'initial' || state.macCandidate !== mac) return next(state);
  const macTries = state.macTries + 1;
  if (macTries >= MAC_TRIES) {
    const reason = `no free MAC address was found in ${MAC_TRIES} random tries`;
    return fail({ ...state, macTries, macCandidate: null }, 'store/conflict', reason, turn);
  }
  return next({ ...state, macTries, macCandidate: randomMac(turn.random) });
}

function startDeleting(state: InterfaceState, turn: Turn): Step<InterfaceState> {
  if (state.phase === 'delete-wait' || state.phase === 'deleted')
    return next(state, [], state.phase);
  const leaving = { phase: 'delete-wait', setback: null } as const;
  return next({ ...state, ...leaving, sinceMs: turn.now }, [], 'delete-wait');
}

function effectFailed(
  state: InterfaceState,
  message: Extract<KernelMessage, { kind: 'effect-failed' }>,
  turn: Turn,
): Step<InterfaceState> {
  if (!isWanted(effects(state), message)) return next(state);
  const isFloat = message.effect === 'reserve-float';
  if (isFloat && !awaitsFloat(state)) return floatFailed(state, message, turn);
  const isBuilding = isFloat || message.effect === 'reserve' || message.effect === 'attach';
  if (isBuilding) return fail(state, message.code, message.reason, turn);
  return setBack(state, message, turn);
}

function timeReached(state: InterfaceState, turn: Turn): Step<InterfaceState> {
  if (isForgettable(state, turn.now)) return next({ ...state, forgetting: true, setback: null });
  const late = passing(state);
  if (state.phase === 'initial' && isLate(late, turn.now)) {
    return fail(state, 'object/deadline', `${late.reason} took too long`, turn);
  }
  if (state.phase === 'created' && isLate(late, turn.now) && state.float?.phase === 'reserving') {
    return floatFailed(state, failureOf('object/deadline', `${late.reason} took too long`), turn);
  }
  return next(tryAgain(state, turn.now));
}

function failureOf(code: ErrorCode, reason: string) {
  return { code, reason };
}

function fail(
  state: InterfaceState,
  code: ErrorCode,
  reason: string,
  turn: Turn,
): Step<InterfaceState> {
  const failed = { phase: 'error', failure: failure(code, reason), setback: null } as const;
  return next({ ...state, ...failed, sinceMs: turn.now }, [
    { type: 'audit', message: 'interface failed', extra: { code, reason } },
  ]);
}

function effects(state: InterfaceState): Wanted<InterfaceEffect>[] {
  if (isPaused(state)) return [];
  switch (state.phase) {
    case 'none':
      return [];
    case 'initial':
      return [...floatEffects(state), ...building(state)];
    case 'created':
    case 'error':
      return [...floatEffects(state), { name: 'tell-instance', key: state.phase }];
    case 'delete-wait':
      return [{ name: 'release', key: '' }];
    case 'deleted':
      if (state.forgetting) return [{ name: 'forget', key: '' }];
      return [{ name: 'tell-instance', key: 'deleted' }];
  }
}

function building(state: InterfaceState): Wanted<InterfaceEffect>[] {
  if (state.mac === null) return [{ name: 'reserve', key: state.macCandidate ?? '' }];
  if (awaitsFloat(state)) return [];
  if (state.node === null) return [{ name: 'tell-instance', key: 'reserved' }];
  return [{ name: 'attach', key: state.node }];
}

function passing(state: InterfaceState): Passing<InterfaceMessage> | null {
  const { sinceMs, phase } = state;
  const since = { sinceMs, cancel: { kind: 'delete' } } as const;
  if (phase === 'delete-wait') {
    const reason = withSetback('leaving its network', state);
    return { ...since, reason, deadlineAtMs: sinceMs + RELEASE_MS };
  }
  if (phase === 'created' || phase === 'error') return floatPassing(state);
  if (phase !== 'initial') return null;
  if (state.mac === null || awaitsFloat(state)) {
    const reason =
      state.mac === null ? 'reserving MAC and address' : 'reserving its floating address';
    return { ...since, reason, deadlineAtMs: sinceMs + RESERVE_MS };
  }
  const reason =
    state.node === null ? 'waiting for its instance to be placed' : 'joining its network';
  return { ...since, reason: withSetback(reason, state), deadlineAtMs: sinceMs + INITIAL_MS };
}

/** Crashes of its own logic: a deleted one stays deleted, any other waits in error for a delete. */
function parked(state: InterfaceState, reason: string, now: number): InterfaceState {
  const why = { failure: failure('actor/crashed', reason), setback: null };
  if (state.phase === 'deleted') return { ...state, ...why };
  return { ...state, ...why, phase: 'error', sinceMs: now };
}

/** None of schema 1 was floating. */
function withFloats(old: unknown): object {
  const { floating: _, ...state } = old as Readonly<Record<string, unknown>>;
  return { ...state, float: null, floats: 0, floatFailure: null };
}

export const interfaceKind = withMetadata(
  defineKind<InterfaceState, InterfaceMessage, InterfaceEffect>({
    kind: 'interface',
    placement: 'sharded',
    initial,
    decodeMessage: decodeInterfaceMessage,
    transition,
    effects,
    policies: {
      reserve: PROMPT,
      'tell-instance': INSISTENT,
      attach: PATIENT,
      'reserve-float': PROMPT,
      'join-float': INSISTENT,
      'drop-float': INSISTENT,
      release: INSISTENT,
      forget: STANDING,
    },
    passing,
    timer: timerOf,
    index: () => null,
    onCrash: restartThenPark,
    parked,
    snapshot: {
      schema: 2,
      decode: decoder('interface', InterfaceState, 'actor/bad-snapshot'),
      migrations: { 1: withFloats },
    },
  }),
);
