// A standing wish whose effect has failed: it is not dropped, it pauses and is tried again, ever more
// rarely, and says why. Effects retry by themselves while they are patient; what comes here was refused
// for good, or has failed for as long as the effect's policy lets it.
//
// B1  A failing wish costs little: pauses double up to ten minutes, and the 1st, 2nd, 4th, 8th … failure
//     in a row is an event. A fault that lasts a week fills neither history nor log.
// B2  While it pauses the state wants no effect (isPaused), which is what makes the runner forget the
//     failure (E2); timerOf() names the time at which it wants it again (tryAgain).
// B3  A new wish starts without the old one's setback: whoever changes the wish sets it to null.
import { backoffMs } from './backoff.ts';
import { next, type EffectPolicy, type KernelMessage, type Step } from './kind.ts';
import type { Turn, Wanted } from './kind.ts';
import { forgetAtMs } from './object.ts';
import { closed, nullable, Type, type Static } from './schema.ts';

/** Why a standing wish is not fulfilled yet. */
export const Setback = closed({
  effect: Type.String(),
  code: Type.String(),
  reason: Type.String(),
  /** In a row. */
  failures: Type.Integer(),
  /** When it is tried again, ms since the epoch; null while it is being tried. */
  retryAtMs: nullable(Type.Number()),
});
export type Setback = Static<typeof Setback>;

/** Member of every state with standing wishes. */
export const setbackMember = { setback: nullable(Setback) };

/** Two minutes of trying, then a setback that its owner can read, then again. For standing wishes. */
export const INSISTENT: EffectPolicy = {
  deadlineMs: 120_000,
  backoffMs: 500,
  maxBackoffMs: 30_000,
};

const PAUSES = { backoffMs: 5_000, maxBackoffMs: 600_000 };

type EffectFailed = Extract<KernelMessage, { kind: 'effect-failed' }>;
interface Standing {
  readonly setback: Setback | null;
}

/** False for the failure of an effect that the state has stopped wanting: history. */
export function isWanted(wanted: readonly Wanted<string>[], failed: EffectFailed): boolean {
  return wanted.some(({ name, key }) => name === failed.effect && key === failed.key);
}

/** Notes one more failure, and when to try again. */
export function setBack<S extends Standing>(state: S, failed: EffectFailed, turn: Turn): Step<S> {
  const { effect, code, reason } = failed;
  const before = state.setback?.effect === effect ? state.setback.failures : 0;
  const failures = before + 1;
  const pauseMs = backoffMs(PAUSES, failures, turn.random());
  const setback = { effect, code, reason, failures, retryAtMs: turn.now + pauseMs };
  const extra = { code, reason, failures, pauseSeconds: Math.round(pauseMs / 1000) };
  const isNews = Number.isInteger(Math.log2(failures));
  const event = { type: 'status', message: `${effect} failed, trying again later`, extra } as const;
  return next({ ...state, setback }, isNews ? [event] : []);
}

/** True until the pause is over: no effects meanwhile. */
export function isPaused({ setback }: Standing): boolean {
  return setback !== null && setback.retryAtMs !== null;
}

/** The state with its pause ended, if its time has come; else the same. */
export function tryAgain<S extends Standing>(state: S, now: number): S {
  const { setback } = state;
  if (setback === null || setback.retryAtMs === null || setback.retryAtMs > now) return state;
  return { ...state, setback: { ...setback, retryAtMs: null } };
}

/** For Kind.timer: when to try again, or when a deleted object is to be forgotten. */
export function timerOf(
  state: Standing & { readonly deletedAtMs: number | null; readonly forgetting: boolean },
): number | null {
  return state.setback?.retryAtMs ?? forgetAtMs(state);
}

/** A passing state's reason with what holds it up, if anything does. */
export function withSetback(reason: string, { setback }: Standing): string {
  return setback === null ? reason : `${reason} (${setback.reason})`;
}
