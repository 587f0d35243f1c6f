// The phases of an agent operation and the moves between them (contract: nodes-admin-events 3.2).
import type { AgentOperationState } from './state.ts';

type Phase = AgentOperationState['phase'];

export const PHASES: Readonly<Record<Phase, readonly Phase[]>> = {
  none: ['initial'],
  initial: ['preflight', 'queued', 'error', 'deleted'],
  preflight: ['queued', 'error', 'deleted'],
  queued: ['executing', 'error', 'deleted'],
  executing: ['complete', 'error', 'deleted'],
  // To `error` when parked after crashes, which is the only move that the contract does not have.
  complete: ['error', 'deleted'],
  error: ['deleted'],
  deleted: [],
};
