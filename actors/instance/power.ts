// Power: what is wanted, what is observed, and what follows when the two differ.
import { next, refuse, type EventDraft, type Step, type Turn } from '../kernel/kind.ts';
import { failure } from '../kernel/object.ts';
import { fail } from './fail.ts';
import type { InstanceMessage, InstanceState } from './state.ts';

type State = InstanceState;
type Observation = Extract<InstanceMessage, { kind: 'domain-observed' }>;
/** A guest takes longer to boot, and its clock steps less when it is set. */
const CLOCK_STEP_MS = 5_000;

type Action = Extract<InstanceMessage, { kind: 'set-power' }>['action'];

/** A domain that is lost this often within the window is not started again. */
const LOSSES = 5;
const LOSS_WINDOW_MS = 600_000;

/** Takes in what the node saw; a report about an older generation is history. */
export function domainObserved(state: State, message: Observation, turn: Turn): Step<State> {
  if (state.phase !== 'creating' && state.phase !== 'created') return next(state);
  if (message.generation !== state.generation) return next(state);
  const { observed } = message;
  const builtDisks = message.builtDisks ?? state.builtDisks;
  // What is told without having been asked for ends a setback only if it shows the wish fulfilled.
  const setback = observed.power === state.power ? null : state.setback;
  const seen = { ...state, observed, observedGeneration: message.generation, builtDisks, setback };
  if (observed.power === 'crashed') {
    return fail(seen, failure('hypervisor/refused', 'the guest crashed'), turn);
  }
  if (state.power !== 'off' && observed.power === 'off') return wentOff(seen, turn);
  if (state.phase === 'created') return next(seen, powerEvents(state, seen));
  return next({ ...seen, phase: 'created', sinceMs: turn.now }, [
    {
      type: 'audit',
      message: 'instance started',
      extra: { accelerator: observed.accelerator },
      durationMs: turn.now - state.sinceMs,
    },
  ]);
}

/** Off although it should be on: by the guest's own wish it stays off, otherwise it is started again. */
function wentOff(state: State, turn: Turn): Step<State> {
  const generation = state.generation + 1;
  if (state.observed?.offReason === 'guest') {
    const sinceMs = state.phase === 'created' ? state.sinceMs : turn.now;
    return next({ ...state, phase: 'created', power: 'off', generation, sinceMs }, [
      { type: 'audit', message: 'detected poweroff' },
    ]);
  }
  const recent = state.lostAtMs.filter((atMs) => atMs > turn.now - LOSS_WINDOW_MS);
  if (recent.length >= LOSSES) return lostForGood({ ...state, generation }, turn);
  return next({ ...state, generation, lostAtMs: [...recent, turn.now] }, [
    { type: 'audit', message: 'domain lost, starting it again' },
  ]);
}

/** One that has never run fails; one that has is left powered off, with all its disks. */
function lostForGood(state: State, turn: Turn): Step<State> {
  const reason = `the domain was lost ${LOSSES + 1} times within ${LOSS_WINDOW_MS / 60_000} minutes`;
  if (state.phase !== 'created') return fail(state, failure('hypervisor/refused', reason), turn);
  return next({ ...state, power: 'off', lostAtMs: [] }, [
    { type: 'audit', message: `${reason}: left powered off, power it on to try again` },
  ]);
}

function powerEvents(before: State, after: State): EventDraft[] {
  const [was, is] = [before.observed?.power, after.observed?.power];
  const reboot: EventDraft = { type: 'audit', message: 'reboot detected' };
  const booted = hasBootedAnew(before, after) ? [reboot] : [];
  if (was === is || is === undefined) return booted;
  return [...booted, { type: 'status', message: `power state is ${is}` }];
}

/** As the agent in the guest has it, whose clock may be set right by some seconds meanwhile. */
function hasBootedAnew(before: State, after: State): boolean {
  const was = before.observed?.agent?.bootedAtMs ?? null;
  const is = after.observed?.agent?.bootedAtMs ?? null;
  return was !== null && is !== null && is - was > CLOCK_STEP_MS;
}

/** Replies null once the wish is recorded; the node carries it out. */
export function setPower(state: State, action: Action, turn: Turn): Step<State> {
  if (state.phase !== 'created') {
    return refuse(state, 'object/wrong-phase', `instance ${turn.id} is not ready (${state.phase})`);
  }
  const problem = impossible(state, action);
  if (problem !== null)
    return refuse(state, 'object/wrong-phase', `Invalid lifecycle state: ${problem}`);
  const wanted = wantedPower(state, action);
  if (wanted === null) return next(state);
  const generation = state.generation + 1;
  return next({ ...state, ...wanted, generation, setback: null }, [
    { type: 'audit', message: action },
  ]);
}

function impossible(state: State, action: Action): string | null {
  if (state.power !== 'off' || action === 'poweron' || action === 'poweroff') return null;
  const verb = action === 'pause' || action === 'unpause' ? action : 'reboot';
  return `you cannot ${verb} a powered off instance`;
}

/** Null: already so. */
function wantedPower(state: State, action: Action): Partial<State> | null {
  switch (action) {
    case 'poweron':
      return state.power === 'off' ? { power: 'on', powerOns: state.powerOns + 1 } : null;
    case 'poweroff':
      return state.power === 'off' ? null : { power: 'off' };
    case 'pause':
      return state.power === 'paused' ? null : { power: 'paused' };
    case 'unpause':
      return state.power === 'on' ? null : { power: 'on' };
    case 'reboothard':
      return { hardReboots: state.hardReboots + 1 };
    case 'rebootsoft':
      return { softReboots: state.softReboots + 1 };
  }
}
