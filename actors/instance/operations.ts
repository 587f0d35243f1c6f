// The agent operations of an instance: which there are, and whose turn it is (contract: nodes-admin-events 3).
//
// A1  One at a time, in the order in which they were taken in; one that is not ready holds up those behind it. Which ends
//     the wait: each has deadlines of its own, and says when it is over.
// A2  What is over is kept for reading, the newest KEPT of them; the others, and all when the instance goes, are deleted
//     from here, since nobody else knows of them.
import { next, refuse, type Step, type Turn, type Wanted } from '../kernel/kind.ts';
import { isNodeMissing } from './node-seen.ts';
import type { InstanceMessage, InstanceState as State, Operation } from './state.ts';

type Of<K extends InstanceMessage['kind']> = Extract<InstanceMessage, { kind: K }>;

/** Waiting or under way. */
export const MOST_OPEN = 64;
export const KEPT = 64;

/** Replies the node. Asked again: the same. */
export function enlist(state: State, { operationId }: Of<'enlist'>, turn: Turn): Step<State> {
  const { operations, node, phase } = state;
  if (operations.some(({ id }) => id === operationId)) return next(state, [], node);
  if (phase !== 'created' || node === null) {
    return refuse(state, 'object/not-ready', `instance ${turn.id} is not ready (${phase})`);
  }
  if (!isAgentReady(state)) return refuse(state, 'api/bad-request', 'instance agent not ready');
  if (operations.filter(isOpen).length >= MOST_OPEN) {
    const reason = `${MOST_OPEN} agent operations wait for this instance already; let some end first`;
    return refuse(state, 'actor/overloaded', reason);
  }
  const added = { id: operationId, phase: 'waiting' } as const;
  return next({ ...state, operations: [...operations, added] }, [], node);
}

/** Replies whether it is known. */
export function operationReady(state: State, { operationId }: Of<'operation-ready'>): Step<State> {
  const known = state.operations.find(({ id }) => id === operationId);
  if (known === undefined) return next(state, [], false);
  const isNews = known.phase === 'waiting';
  return next(isNews ? withPhase(state, operationId, 'ready') : state, [], true);
}

export function operationStarted(
  state: State,
  { operationId }: Of<'operation-started'>,
): Step<State> {
  const known = state.operations.find(({ id }) => id === operationId);
  return next(known?.phase === 'ready' ? withPhase(state, operationId, 'started') : state);
}

/** It has ended; `isGone`: it is deleted, or never was. */
export function operationOver(
  state: State,
  { operationId, isGone }: Of<'operation-over'>,
): Step<State> {
  const known = state.operations.find(({ id }) => id === operationId);
  if (known === undefined) return next(state);
  if (isGone) return next(without(state, [operationId]));
  if (!isOpen(known)) return next(state);
  const { operations, ...rest } = withPhase(state, operationId, 'over');
  const over = operations.filter(({ phase }) => phase === 'over').map(({ id }) => id);
  const old = new Set(over.slice(0, Math.max(0, over.length - KEPT)));
  const kept = operations.map((one) =>
    old.has(one.id) ? { ...one, phase: 'dropped' as const } : one,
  );
  return next({ ...rest, operations: kept });
}

export function operationsDropped(state: State, { operationIds }: Of<'operations-dropped'>): State {
  return without(state, operationIds);
}

/** Of a running instance. */
export function operationEffects(state: State): Wanted<'start-operation' | 'drop-operations'>[] {
  const dropped = state.operations.filter(({ phase }) => phase === 'dropped');
  const drop = { name: 'drop-operations', key: dropped.map(({ id }) => id).join() } as const;
  const head = state.operations.find(isOpen);
  const mayStart = isAgentReady(state) && state.nodeBoot !== null && !isNodeMissing(state);
  const start = { name: 'start-operation', key: head?.id ?? '' } as const;
  return [
    ...(dropped.length > 0 ? [drop] : []),
    ...(head?.phase === 'ready' && mayStart ? [start] : []),
  ];
}

/** Of an instance that goes: all of them; otherwise those that are too many. */
export function operationsToDrop({ operations }: State, isGoing: boolean): string[] {
  return operations.filter(({ phase }) => isGoing || phase === 'dropped').map(({ id }) => id);
}

/** What clients see (contract: instances 2.3); null: nothing is known, or no agent is expected. */
export function agentStateOf({ observed, builtDisks, phase }: State): string | null {
  const isOff = observed === null ? builtDisks.length > 0 : observed.power === 'off';
  if (isOff || (phase === 'deleted' && builtDisks.length > 0)) {
    return 'not ready (instance powered off)';
  }
  if (observed?.power === 'paused') return 'not ready (instance paused)';
  return observed?.agent?.state ?? null;
}

export function isAgentReady(state: State): boolean {
  return agentStateOf(state)?.startsWith('ready') === true;
}

function isOpen({ phase }: Operation): boolean {
  return phase === 'waiting' || phase === 'ready' || phase === 'started';
}

function withPhase(state: State, operationId: string, phase: Operation['phase']): State {
  const operations = state.operations.map((one) =>
    one.id === operationId ? { ...one, phase } : one,
  );
  return { ...state, operations };
}

function without(state: State, ids: readonly string[]): State {
  return { ...state, operations: state.operations.filter(({ id }) => !ids.includes(id)) };
}
