// One request's trace id goes on through a restart: what is carried out again still belongs to the request.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { defineKind, next, PROMPT, restartThenPark } from '../../../actors/kernel/kind.ts';
import { makeWorld, settle } from '../../support/kernel.ts';

type State = { readonly phase: 'none' | 'working' | 'done' };
type Message = { readonly kind: 'create' } | { readonly kind: 'worked' };

const job = defineKind<State, Message, 'work'>({
  kind: 'job',
  placement: 'sharded',
  initial: { phase: 'none' },
  decodeMessage: (value) => value as Message,
  transition(state, message) {
    if (message.kind === 'create') return next<State>({ phase: 'working' });
    if (message.kind === 'worked')
      return next<State>({ phase: 'done' }, [{ type: 'audit', message: 'done' }]);
    return next(state);
  },
  effects: (state) => (state.phase === 'working' ? [{ name: 'work', key: '' }] : []),
  policies: { work: PROMPT },
  passing: () => null,
  timer: () => null,
  index: () => null,
  onCrash: restartThenPark,
  parked: (state) => state,
  snapshot: { schema: 1, decode: (value) => value as State, migrations: {} },
});

const test = suite('trace');

test('an effect that a restart carries out again has the trace of the request that wanted it', async () => {
  const world = makeWorld();
  const address = { kind: 'job', id: 'a' };
  world.runtime.register(job, { work: () => new Promise(() => undefined) });
  await world.runtime.ask(address, { kind: 'create' }, { trace: 'request-1' });
  const traces: string[] = [];
  const again = world.restart();
  again.register(job, {
    work: (_state, context) => {
      traces.push(context.trace);
      return Promise.resolve({ kind: 'worked' });
    },
  });
  await again.resume(() => world.journal.read());
  await settle();
  assert.equal(traces, ['request-1']);
  const events = [...world.journal.events.values()].flat();
  assert.equal(
    events.map(({ trace }) => trace),
    ['request-1'],
  );
});

test.run();
