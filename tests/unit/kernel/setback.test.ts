// Setbacks: how often a failing wish is tried, and how often it is told.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Setback } from '../../../actors/kernel/setback.ts';
import {
  isPaused,
  setBack,
  timerOf,
  tryAgain,
  withSetback,
} from '../../../actors/kernel/setback.ts';

const test = suite('setback');

interface State {
  readonly setback: Setback | null;
}

const failed = {
  kind: 'effect-failed',
  effect: 'sync',
  key: '1',
  code: 'host/tool-failed',
  reason: 'the tool said no',
} as const;
const turn = (now: number) => ({ id: 'a', now, random: () => 1 });
const fresh: State = { setback: null };

/** Fails whenever it is tried; the pauses, and after which failures something was told. */
function fail(times: number): { pausesMs: number[]; told: number[]; state: State } {
  const [pausesMs, told]: [number[], number[]] = [[], []];
  let state = fresh;
  let now = 0;
  for (let failures = 1; failures <= times; failures++) {
    const step = setBack(state, failed, turn(now));
    if (step.state === null) throw new Error('gone');
    state = step.state;
    if (step.events.length > 0) told.push(failures);
    const atMs = state.setback?.retryAtMs ?? now;
    pausesMs.push(atMs - now);
    assert.ok(isPaused(tryAgain(state, atMs - 1)));
    now = atMs;
    state = tryAgain(state, now);
    assert.not(isPaused(state));
  }
  return { pausesMs, told, state };
}

test('pauses double from five seconds to ten minutes', () => {
  const { pausesMs } = fail(10);
  const expected = [5, 10, 20, 40, 80, 160, 320, 600, 600, 600].map((seconds) => seconds * 1_000);
  assert.equal(pausesMs, expected);
});

test('the 1st, 2nd, 4th, 8th … failure is told', () => {
  assert.equal(fail(100).told, [1, 2, 4, 8, 16, 32, 64]);
});

test('another effect begins anew', () => {
  const { state } = fail(5);
  const step = setBack(state, { ...failed, effect: 'other' }, turn(0));
  assert.is(step.state?.setback?.failures, 1);
});

test('a pause that is not over, or none, is left as it is', () => {
  assert.is(tryAgain(fresh, 1_000), fresh);
  const { state } = setBack(fresh, failed, turn(0));
  if (state === null) throw new Error('gone');
  assert.is(tryAgain(state, 4_999), state);
});

test('its time is when to try again, before the time to be forgotten', () => {
  const life = { deletedAtMs: null, forgetting: false };
  assert.is(timerOf({ ...fresh, ...life }), null);
  const { state } = setBack(fresh, failed, turn(0));
  if (state === null) throw new Error('gone');
  assert.is(timerOf({ ...state, ...life, deletedAtMs: 0 }), 5_000);
  assert.is(timerOf({ ...fresh, ...life, deletedAtMs: 0 }), 3_600_000);
});

test('a reason says what holds it up', () => {
  assert.is(withSetback('leaving', fresh), 'leaving');
  const { state } = setBack(fresh, failed, turn(0));
  assert.is(state && withSetback('leaving', state), 'leaving (the tool said no)');
});

test.run();
