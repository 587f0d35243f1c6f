// Whatever the point at which a daemon dies, the next one brings the object to its end, and the effect
// has happened once as far as the world can tell. Seeded: a failing seed is named and replays.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Boundary } from '../../../actors/kernel/environment.ts';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import type { Runtime } from '../../../actors/kernel/runtime.ts';
import { makeWorld, seededRandom, settle } from '../../support/kernel.ts';
import { job, jobKind, type JobPerformers, type JobState } from './toy.ts';

const test = suite('kernel crash points');
const SEEDS = 150;
const CHANGES = 3;

/** The outside world: converges on a generation, and refuses what an older owner wants. */
function makeThing() {
  const made: number[] = [];
  let epochSeen = 0;
  const ensure = (generation: number, epoch: number) => {
    if (epoch < epochSeen) throw new TroupeError('executor/stale-epoch', `epoch ${epoch} is over`);
    epochSeen = epoch;
    if (generation <= (made.at(-1) ?? 0)) return;
    made.push(generation);
  };
  return { made, ensure };
}

interface Death {
  /** The daemon dies at its boundary with this number. */
  readonly at: number;
  readonly stages: string[];
}

/** Daemons one after the other on one store; each dies at a boundary drawn from the seed. */
async function live(seed: number) {
  const random = seededRandom(seed);
  const world = makeWorld({ seed });
  const thing = makeThing();
  const stages: string[] = [];
  const performers: JobPerformers = {
    work: async (state, { epoch }) => {
      if (random.number() < 0.2) throw new TroupeError('image/unreachable', 'bad luck');
      await settle(1);
      thing.ensure(state.generation, epoch);
      return { kind: 'worked', generation: state.generation };
    },
  };
  let epoch = 0;
  const boot = async (death: Death | null): Promise<Runtime> => {
    const mine = ++epoch;
    let boundaries = 0;
    let isDead = false;
    const onBoundary = ({ stage }: Boundary) => {
      if (isDead) return new Promise<void>(() => {});
      if (death === null || ++boundaries < death.at) return;
      death.stages.push(stage);
      isDead = true;
      return new Promise<void>(() => {});
    };
    [world.journal.epoch, world.ownership.epoch] = [mine, mine];
    const ownership = { epochOf: () => (isDead ? null : mine) };
    const runtime = world.restart({ onBoundary, ownership });
    runtime.register(jobKind(), performers);
    await runtime.resume(() => world.journal.read());
    return runtime;
  };
  for (let wanted = 1; wanted <= CHANGES; wanted++) {
    let runtime = await boot({ at: 1 + Math.floor(random.number() * 6), stages });
    for (
      let tries = 0;
      tries < 40 && generationOf(world.journal.stateOf(job('a'))) < wanted;
      tries++
    ) {
      const message = wanted === 1 ? { kind: 'create', name: 'a' } : { kind: 'change' };
      const asked = runtime.ask(job('a'), message, { trace: 't', timeoutMs: 1_000 });
      asked.catch(() => {});
      await world.clock.advance(1_000);
      if (generationOf(world.journal.stateOf(job('a'))) < wanted)
        runtime = await boot(
          tries < 5 ? { at: 1 + Math.floor(random.number() * 6), stages } : null,
        );
    }
  }
  await boot(null);
  await world.clock.advance(120_000);
  return {
    state: world.journal.stateOf(job('a')),
    journal: world.journal,
    made: thing.made,
    stages,
  };
}

function generationOf(state: unknown): number {
  return (state as JobState | undefined)?.generation ?? 0;
}

test('a daemon that dies at any boundary leaves an object that the next one brings to its end', async () => {
  const reached = new Set<string>();
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { state, journal, made, stages } = await live(seed);
    for (const stage of stages) reached.add(stage);
    const { phase, generation } = state as JobState;
    const where = `seed ${seed}, died at ${stages.join(', ')}`;
    assert.is(phase, 'done', where);
    assert.is(made.at(-1), generation, where);
    assert.equal(made, [...new Set(made)], `${where}: no generation is made twice`);
    const messages = journal.messagesOf(job('a'));
    const once = ['created', `worked ${generation}`];
    for (const message of once)
      assert.is(messages.filter((other) => other === message).length, 1, `${where}: ${message}`);
    assert.equal(messages, [...new Set(messages)], `${where}: no event is written twice`);
  }
  assert.equal([...reached].toSorted(), ['before', 'before-write', 'performed', 'written']);
});

test('the boundaries come in order: write, then act, then write the outcome', async () => {
  const points: string[] = [];
  const { runtime } = makeWorld({
    onBoundary: ({ stage, effect }) => void points.push(`${effect ?? 'turn'} ${stage}`),
  });
  runtime.register(jobKind(), {
    work: (state) => Promise.resolve({ kind: 'worked', generation: state.generation }),
  });
  await runtime.ask(job('a'), { kind: 'create', name: 'a' }, { trace: 't' });
  await settle();
  assert.equal(points, [
    'turn before-write',
    'turn written',
    'work before',
    'work performed',
    'turn before-write',
    'turn written',
  ]);
});

test.run();
