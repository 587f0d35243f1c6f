// The phases of an instance and the moves between them (contract: instances 2.1). Straight to `error` goes
// one that is parked after crashes. `delete-wait-error` is never entered: a deletion that meets a fault
// says so, is listed as stuck, and goes on until it is done.
import type { InstanceState } from './state.ts';

type Phase = InstanceState['phase'];

export const PHASES: Readonly<Record<Phase, readonly Phase[]>> = {
  none: ['initial'],
  initial: ['preflight', 'delete-wait', 'initial-error', 'error'],
  preflight: ['creating', 'delete-wait', 'preflight-error', 'error'],
  creating: ['created', 'delete-wait', 'creating-error', 'error'],
  created: ['delete-wait', 'created-error', 'error'],
  'initial-error': ['delete-wait', 'error'],
  'preflight-error': ['delete-wait', 'error'],
  'creating-error': ['delete-wait', 'error'],
  'created-error': ['delete-wait', 'error'],
  error: ['delete-wait', 'deleted'],
  'delete-wait': ['deleted', 'error'],
  'delete-wait-error': ['error'],
  deleted: [],
};
