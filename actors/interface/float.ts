// An interface's floating address: reserved from the pool, brought to its port, and given back (contract: networks 3.4,
// 3.5 and 7).
//
// F1  A float is recorded, with a number of its own, before an address is asked for, and is forgotten only after the pool
//     has taken back what that number held. So whatever is given is given back, wherever a crash comes in between.
// F2  The number is part of the holder's name at the pool and is used once. The pool gives nothing to who has given
//     back (network.ts N4): a reservation that is overtaken by its own release gets nothing.
// F3  The network is told of each change with an edition that only grows: late news of an older float changes nothing.
import { next, refuse, type Passing, type Step, type Turn, type Wanted } from '../kernel/kind.ts';
import type { ErrorCode } from '../kernel/errors.ts';
import { withSetback } from '../kernel/setback.ts';
import type { Float, InterfaceMessage, InterfaceState } from './state.ts';

export type FloatEffect = 'reserve-float' | 'join-float' | 'drop-float';

/** Longer than the effect tries, so that its own reason is the one that is seen. */
const RESERVE_MS = 90_000;
const RELEASE_MS = 300_000;

/** A float in its first phase. */
export function newFloat(number: number, isRequired: boolean, now: number): Float {
  return { number, phase: 'reserving', address: null, sinceMs: now, isRequired };
}

/** Who holds a float's address at the pool (F2). */
export function floatOwner(interfaceId: string, { number }: Float): string {
  return `interface/${interfaceId}/float/${number}`;
}

/** Of what the network is told: every float makes two changes, the address that comes and the one that goes (F3). */
export function editionOf({ number, phase }: Float): number {
  return number * 2 + (phase === 'leaving' ? 1 : 0);
}

/** Replies the number. An interface that has one gives it back first. */
export function startFloat(state: InterfaceState, turn: Turn): Step<InterfaceState> {
  const { phase, float } = state;
  if (phase !== 'initial' && phase !== 'created') {
    return refuse(state, 'object/wrong-phase', `interface ${turn.id} is ${phase}`);
  }
  if (float?.phase === 'leaving') {
    const reason = `interface ${turn.id} is still giving its floating address back`;
    return refuse(state, 'object/wrong-phase', reason);
  }
  if (float !== null) {
    return refuse(state, 'object/wrong-phase', `interface ${turn.id} is already floating`);
  }
  if (state.requested === 'none') {
    return refuse(state, 'actor/bad-message', `interface ${turn.id} has no address to float`);
  }
  const floats = state.floats + 1;
  const wish = { floats, float: newFloat(floats, false, turn.now), setback: null };
  const event = { type: 'audit', message: 'floating address requested' } as const;
  return next({ ...state, ...wish }, [event], floats);
}

export function floatReserved(
  state: InterfaceState,
  { number, address }: Extract<InterfaceMessage, { kind: 'float-reserved' }>,
  turn: Turn,
): Step<InterfaceState> {
  const { float, phase } = state;
  const isAlive = phase === 'initial' || phase === 'created';
  if (!isAlive || float?.number !== number || float.phase !== 'reserving') return next(state);
  const held = { ...float, phase: 'held', address, sinceMs: turn.now } as const;
  return next({ ...state, float: held }, [
    { type: 'mutate', message: 'reserved floating address', extra: { address } },
  ]);
}

/** Without one, quiet; on its way out an interface gives it back by itself. */
export function startDefloat(state: InterfaceState, turn: Turn): Step<InterfaceState> {
  const isLeaving = state.phase === 'delete-wait' || state.phase === 'deleted';
  if (state.float === null || state.float.phase === 'leaving' || isLeaving) return next(state);
  const { address } = state.float;
  return next({ ...state, float: leaving(state.float, turn), setback: null }, [
    { type: 'audit', message: 'floating address is given back', extra: { address } },
  ]);
}

export function floatReleased(
  state: InterfaceState,
  { number }: Extract<InterfaceMessage, { kind: 'float-released' }>,
): Step<InterfaceState> {
  if (state.float?.number !== number || state.float.phase !== 'leaving') return next(state);
  return next({ ...state, float: null, setback: null });
}

/** The outcome of the reservation is unknown: what it may have brought is given back (F1). */
export function floatFailed(
  state: InterfaceState,
  { code, reason }: { readonly code: ErrorCode; readonly reason: string },
  turn: Turn,
): Step<InterfaceState> {
  if (state.float?.phase !== 'reserving') return next(state);
  const { number } = state.float;
  const floatFailure = { number, code, reason };
  return next({ ...state, float: leaving(state.float, turn), floatFailure, setback: null }, [
    { type: 'audit', message: 'no floating address', extra: { code, reason } },
  ]);
}

/** True while the interface may not be used without the address that it is waiting for. */
export function awaitsFloat({ float }: InterfaceState): boolean {
  return float?.isRequired === true && float.phase === 'reserving';
}

/** What a float asks for in the interface's phase; none once the interface gives back all it has. */
export function floatEffects({ float, phase, mac }: InterfaceState): Wanted<FloatEffect>[] {
  if (float === null) return [];
  const key = String(float.number);
  const isAlive = phase === 'initial' || phase === 'created';
  switch (float.phase) {
    case 'reserving':
      return isAlive && mac !== null ? [{ name: 'reserve-float', key }] : [];
    case 'held':
      // Not before it is a port of its network.
      return phase === 'created' ? [{ name: 'join-float', key }] : [];
    case 'leaving':
      return isAlive || phase === 'error' ? [{ name: 'drop-float', key }] : [];
  }
}

/** Null while the float is at rest, or there is none. */
export function floatPassing(state: InterfaceState): Passing<InterfaceMessage> | null {
  const { float } = state;
  if (float === null || float.phase === 'held') return null;
  const { sinceMs } = float;
  if (float.phase === 'reserving') {
    const reason = withSetback('reserving a floating address', state);
    return { sinceMs, reason, deadlineAtMs: sinceMs + RESERVE_MS, cancel: { kind: 'defloat' } };
  }
  const reason = withSetback('giving its floating address back', state);
  return { sinceMs, reason, deadlineAtMs: sinceMs + RELEASE_MS, cancel: null };
}

function leaving(float: Float, { now }: Turn): Float {
  return { ...float, phase: 'leaving', sinceMs: now };
}
