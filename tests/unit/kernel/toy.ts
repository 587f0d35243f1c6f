// A kind for the kernel's own tests: a job that is worked on by an effect, and misbehaves on demand.
import { TroupeError } from '../../../actors/kernel/errors.ts';
import {
  defineKind,
  next,
  PROMPT,
  refuse,
  restartThenPark,
  type Address,
  type CrashDecision,
  type Kind,
  type KernelMessage,
  type Step,
  type Turn,
} from '../../../actors/kernel/kind.ts';
import type { Performers } from '../../../actors/kernel/ports.ts';

export type JobMessage =
  | { readonly kind: 'create'; readonly name: string }
  /** Asks for another round of work. */
  | { readonly kind: 'change' }
  | { readonly kind: 'worked'; readonly generation: number }
  | { readonly kind: 'note'; readonly text: string }
  | { readonly kind: 'call-at'; readonly atMs: number | null }
  | { readonly kind: 'read' }
  | { readonly kind: 'cancel' }
  | { readonly kind: 'delete' }
  /** A bug in the transition. */
  | { readonly kind: 'crash' }
  /** A bug that only shows in the state it leaves. */
  | { readonly kind: 'garble' }
  /** A bug in effects(): crashes on reconciling, after the write. */
  | { readonly kind: 'poison' };

export interface JobState {
  readonly phase: 'absent' | 'working' | 'done' | 'error';
  readonly name: string;
  readonly generation: number;
  readonly notes: readonly string[];
  readonly sinceMs: number;
  readonly callAtMs: number | null;
  readonly isPoisoned: boolean;
  readonly reason: string;
}

export type JobEffect = 'work';
export type JobKind = Kind<JobState, JobMessage, JobEffect>;
export type JobPerformers = Performers<JobState, JobMessage, JobEffect>;

export const WORK_MS = 60_000;
export const job = (id: string): Address => ({ kind: 'job', id });

const initial: JobState = {
  phase: 'absent',
  name: '',
  generation: 0,
  notes: [],
  sinceMs: 0,
  callAtMs: null,
  isPoisoned: false,
  reason: '',
};

function transition(
  state: JobState,
  message: JobMessage | KernelMessage,
  turn: Turn,
): Step<JobState> {
  if (state.phase === 'absent' && message.kind === 'crash')
    throw new Error('crashed before create');
  if (state.phase === 'absent' && message.kind !== 'create')
    return refuse(state, 'object/not-found', `no job ${turn.id}`);
  switch (message.kind) {
    case 'create': {
      if (state.phase !== 'absent') return refuse(state, 'object/exists', 'created already');
      const { name } = message;
      const created = {
        ...state,
        phase: 'working',
        name,
        generation: 1,
        sinceMs: turn.now,
      } as const;
      return next<JobState>(created, [{ type: 'audit', message: 'created' }], { generation: 1 });
    }
    case 'change': {
      const generation = state.generation + 1;
      return next<JobState>({ ...state, phase: 'working', generation, sinceMs: turn.now }, [
        { type: 'mutate', message: `wanted ${generation}` },
      ]);
    }
    case 'worked':
      if (message.generation !== state.generation) return next(state);
      return next<JobState>({ ...state, phase: 'done' }, [
        { type: 'status', message: `worked ${message.generation}` },
      ]);
    case 'note':
      return next<JobState>({ ...state, notes: [...state.notes, message.text] });
    case 'call-at':
      return next<JobState>({ ...state, callAtMs: message.atMs });
    case 'time-reached':
      return next<JobState>({ ...state, callAtMs: null, notes: [...state.notes, 'called'] });
    case 'effect-failed':
      return next<JobState>({ ...state, phase: 'error', reason: message.reason }, [
        { type: 'status', message: `failed: ${message.code}` },
      ]);
    case 'read':
      return next({ ...state }, [], { phase: state.phase, notes: state.notes.length });
    case 'cancel':
      return next<JobState>({ ...state, phase: 'error', reason: 'cancelled' });
    case 'delete':
      return next<JobState>(null, [{ type: 'audit', message: 'deleted' }], 'gone');
    case 'crash':
      throw new Error('a bug in the transition');
    case 'garble':
      return next<JobState>({ ...state, generation: -1 });
    case 'poison':
      return next<JobState>({ ...state, isPoisoned: true });
  }
}

export function decodeJob(value: unknown): JobState {
  const isRecord = typeof value === 'object' && value !== null;
  if (!isRecord || !('phase' in value) || !('generation' in value))
    throw new TroupeError('actor/bad-snapshot', 'not a job');
  if (typeof value.generation !== 'number' || value.generation < 0)
    throw new TroupeError('actor/bad-snapshot', 'expected a generation from 0');
  return value as JobState;
}

const KINDS: ReadonlySet<string> = new Set(
  `create change worked note call-at read cancel delete crash garble poison effect-failed
   time-reached`.split(/\s+/),
);

function decodeMessage(value: unknown): JobMessage {
  const kind = (value as { readonly kind?: unknown } | null)?.kind;
  if (typeof kind === 'string' && KINDS.has(kind)) return value as JobMessage;
  throw new TroupeError('actor/bad-message', `not a message to a job: ${JSON.stringify(value)}`);
}

/** The kind with parts replaced: another supervision, another snapshot format. */
export function jobKind(parts: Partial<JobKind> = {}): JobKind {
  return defineKind<JobState, JobMessage, JobEffect>({
    kind: 'job',
    placement: 'sharded',
    initial,
    decodeMessage,
    transition,
    effects: (state) => {
      if (state.isPoisoned) throw new Error('a bug in effects()');
      return state.phase === 'working' ? [{ name: 'work', key: String(state.generation) }] : [];
    },
    policies: { work: PROMPT },
    passing: (state) => {
      if (state.phase !== 'working') return null;
      const { sinceMs } = state;
      const cancel = { kind: 'cancel' } as const;
      return { reason: 'working', sinceMs, deadlineAtMs: sinceMs + 10 * WORK_MS, cancel };
    },
    timer: (state) => state.callAtMs,
    index: (state) => (state.name === '' ? null : { namespace: 'test', name: state.name }),
    onCrash: (error, restarts): CrashDecision => restartThenPark(error, restarts),
    parked: (state, reason) => ({ ...state, phase: 'error', isPoisoned: false, reason }),
    snapshot: { schema: 1, decode: decodeJob, migrations: {} },
    ...parts,
  });
}

/** Work that succeeds at once. */
export const quickWork: JobPerformers = {
  work: (state) => Promise.resolve({ kind: 'worked', generation: state.generation }),
};
