// One NIC of one instance on one network: holds its MAC and address from before the instance is
// placed until the instance is gone.
//
// initial ──reserved──▶ initial ──place, attached──▶ created ──delete──▶ delete-wait ──released──▶ deleted
//    └── nothing free, address taken ──▶ error ──delete──▶ delete-wait
import {
  defineKind,
  next,
  refuse,
  restartThenPark,
  PATIENT,
  PROMPT,
  STANDING,
} from '../kernel/kind.ts';
import type { KernelMessage, Passing, Step, Turn, Wanted } from '../kernel/kind.ts';
import { failure, forgetAtMs, isForgettable, newLife } from '../kernel/object.ts';
import { decoder } from '../kernel/schema.ts';
import type { ErrorCode } from '../kernel/errors.ts';
import { decodeInterfaceMessage, InterfaceState, type InterfaceMessage } from './state.ts';

export type InterfaceEffect = 'reserve' | 'tell-instance' | 'attach' | 'release' | 'forget';

const RESERVE_MS = 60_000;
const ATTACH_MS = 120_000;

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
  mac: null,
  ipv4: null,
  floating: null,
  node: null,
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
    case 'create': {
      // The instance asks again after a crash; the same wish is granted once.
      if (state.phase !== 'none') return next(state);
      const { kind: _, ...asked } = message;
      return next({ ...state, ...asked, phase: 'initial', sinceMs: turn.now }, [
        { type: 'audit', message: 'created interface', extra: { instance: message.instanceId } },
      ]);
    }
    case 'reserved':
      if (state.phase !== 'initial') return next(state);
      return next({ ...state, mac: message.mac, ipv4: message.ipv4 }, [
        { type: 'mutate', message: 'reserved', extra: { mac: message.mac, ipv4: message.ipv4 } },
      ]);
    case 'place':
      if (state.phase !== 'initial' && state.phase !== 'created') return next(state);
      return next({ ...state, node: message.node });
    case 'attached':
      if (state.phase !== 'initial') return next(state);
      return next({ ...state, phase: 'created', sinceMs: turn.now }, [
        { type: 'status', message: 'attached to its network' },
      ]);
    case 'delete':
      if (state.phase === 'delete-wait' || state.phase === 'deleted') return next(state);
      return next({ ...state, phase: 'delete-wait', sinceMs: turn.now });
    case 'released':
      if (state.phase !== 'delete-wait') return next(state);
      return next({ ...state, phase: 'deleted', sinceMs: turn.now, deletedAtMs: turn.now }, [
        { type: 'audit', message: 'deleted' },
      ]);
    case 'forgotten':
      return next<InterfaceState>(null);
    case 'effect-failed':
      return effectFailed(state, message, turn);
    case 'time-reached':
      return timeReached(state, turn);
  }
}

function effectFailed(
  state: InterfaceState,
  message: Extract<KernelMessage, { kind: 'effect-failed' }>,
  turn: Turn,
): Step<InterfaceState> {
  if (state.phase !== 'initial') return next(state);
  return fail(state, message.code, message.reason, turn);
}

function timeReached(state: InterfaceState, turn: Turn): Step<InterfaceState> {
  const deadline = passing(state)?.deadlineAtMs;
  if (state.phase === 'initial' && deadline !== undefined && deadline <= turn.now) {
    return fail(state, 'object/deadline', passing(state)?.reason ?? '', turn);
  }
  if (isForgettable(state, turn.now)) return next({ ...state, forgetting: true });
  return next(state);
}

function fail(
  state: InterfaceState,
  code: ErrorCode,
  reason: string,
  turn: Turn,
): Step<InterfaceState> {
  return next({ ...state, phase: 'error', sinceMs: turn.now, failure: failure(code, reason) }, [
    { type: 'audit', message: 'interface failed', extra: { code, reason } },
  ]);
}

function effects(state: InterfaceState): Wanted<InterfaceEffect>[] {
  switch (state.phase) {
    case 'none':
      return [];
    case 'initial':
      if (state.mac === null) return [{ name: 'reserve', key: '' }];
      if (state.node === null) return [{ name: 'tell-instance', key: 'reserved' }];
      return [{ name: 'attach', key: state.node }];
    case 'created':
    case 'error':
      return [{ name: 'tell-instance', key: state.phase }];
    case 'delete-wait':
      return [{ name: 'release', key: '' }];
    case 'deleted':
      if (state.forgetting) return [{ name: 'forget', key: '' }];
      return [{ name: 'tell-instance', key: 'deleted' }];
  }
}

/** An interface that waits for its instance's placement is not passing: the instance's deadline counts. */
function passing(state: InterfaceState): Passing<InterfaceMessage> | null {
  const since = { sinceMs: state.sinceMs, cancel: { kind: 'delete' } } as const;
  if (state.phase === 'initial' && state.mac === null) {
    return {
      ...since,
      reason: 'reserving MAC and address',
      deadlineAtMs: state.sinceMs + RESERVE_MS,
    };
  }
  if (state.phase === 'delete-wait') {
    return { ...since, reason: 'leaving its network', deadlineAtMs: state.sinceMs + ATTACH_MS };
  }
  return null;
}

export const interfaceKind = defineKind<InterfaceState, InterfaceMessage, InterfaceEffect>({
  kind: 'interface',
  placement: 'sharded',
  initial,
  decodeMessage: decodeInterfaceMessage,
  transition,
  effects,
  policies: {
    reserve: PROMPT,
    'tell-instance': PATIENT,
    attach: PATIENT,
    release: STANDING,
    forget: STANDING,
  },
  passing,
  timer: forgetAtMs,
  index: () => null,
  onCrash: restartThenPark,
  parked: (state, reason, now) => ({
    ...state,
    phase: 'error',
    sinceMs: now,
    failure: failure('actor/crashed', reason),
  }),
  snapshot: {
    schema: 1,
    decode: decoder('interface', InterfaceState, 'actor/bad-snapshot'),
    migrations: {},
  },
});
