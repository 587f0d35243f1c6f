// Agent operations while the daemon dies at every boundary of theirs: no command is given to a guest twice, none waits for
// ever, and nothing is left of them when their instance goes.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { agentOperationRef, type AgentOperationState } from '../../actors/agent-operation/state.ts';
import { isAgentReady } from '../../actors/instance/operations.ts';
import type { InstanceState } from '../../actors/instance/state.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { SimAgent } from '../support/sim-agent.ts';
import {
  assertClean,
  assertGone,
  INSTANCE,
  instanceMessage,
  makePool,
  NETWORK,
  remove,
  requestArtifact,
  requestNetwork,
  untilPhase,
} from './main-path.ts';
import { NODE, World } from './world.ts';

const test = suite('agent operations, crash at every boundary');
const SEED = 5;
const PATIENCE_MS = 8_000_000;
const LINES = ['echo 1', 'yes 20000', 'exit 3'];

const OPERATIONS = LINES.map((line, index) => ({ ref: agentOperationRef(`o${index}`), line }));

function instanceOf(world: World): InstanceState | undefined {
  return world.journal.stateOf(INSTANCE) as InstanceState | undefined;
}

function operationsOf(world: World): (AgentOperationState | undefined)[] {
  return OPERATIONS.map(({ ref }) => world.journal.stateOf(ref) as AgentOperationState | undefined);
}

/** As src/daemon/presence.ts: the instance hears of each boot of its node's daemon. */
function tellBoot(world: World): void {
  const boot = `b${world.epoch}`;
  const { nodeBoot = null, node = null } = instanceOf(world) ?? {};
  if (!world.isUp || node === null || nodeBoot === boot) return;
  world.runtime.tell(INSTANCE, { kind: 'node-seen', node: NODE, boot }, { trace: 'presence' });
}

/** An instance whose agent is ready. */
async function prepare(): Promise<World> {
  const world = new World(SEED);
  await makePool(world);
  await requestArtifact(world);
  await requestNetwork(world);
  await untilPhase(world, NETWORK, 'created');
  await world.request(INSTANCE, { ...instanceMessage(), sideChannels: ['sf-agent'] });
  await untilPhase(world, INSTANCE, 'created');
  const isReady = () => {
    tellBoot(world);
    const state = instanceOf(world);
    return state !== undefined && isAgentReady(state) && state.nodeBoot === `b${world.epoch}`;
  };
  await world.untilUp('the agent is ready', isReady, PATIENCE_MS);
  await world.clock.advance(5_000);
  return world;
}

/** Asked for one after the other, and over. */
async function carryOut(world: World): Promise<void> {
  for (const { ref, line } of OPERATIONS) {
    const command = { command: 'execute', commandline: line, 'block-for-result': true } as const;
    const about = { namespace: 'ns', instanceId: INSTANCE.id, commands: [command] };
    await world.request(ref, { kind: 'create', ...about });
  }
  const isSettled = (state: AgentOperationState | undefined) =>
    state !== undefined && state.settled === state.phase && state.settled !== null;
  const areOver = () => {
    tellBoot(world);
    return operationsOf(world).every(isSettled);
  };
  await world.untilUp('all operations are over', areOver, PATIENCE_MS);
  await world.clock.advance(5_000);
}

function agentOf(world: World): SimAgent {
  const { agent } = world.machine.hypervisor.domain(INSTANCE.id);
  if (agent === undefined) throw new Error('the guest has no agent');
  return agent;
}

/** The boundaries of the operations, undisturbed. */
async function path(): Promise<{ before: number; names: string[] }> {
  const world = await prepare();
  const before = world.boundaries.length;
  await carryOut(world);
  assert.equal(agentOf(world).lines, LINES);
  assert.equal(
    operationsOf(world).map((state) => state?.phase),
    ['complete', 'complete', 'complete'],
  );
  return { before, names: world.boundaries.slice(before) };
}

function assertHonest(world: World, where: string): void {
  const { lines } = agentOf(world);
  assert.equal(lines, [...new Set(lines)], `${where}: given twice: ${lines.join()}`);
  assert.equal(
    lines,
    LINES.filter((line) => lines.includes(line)),
    `${where}: out of order`,
  );
  for (const [index, state] of operationsOf(world).entries()) {
    const wasGiven = lines.includes(LINES[index] ?? '');
    if (state?.phase === 'complete') assert.ok(wasGiven, where);
    // Not taken while no agent was known to be ready: its asker was told so.
    else if (state?.phase === 'deleted') assert.not.ok(wasGiven, where);
    else assert.match(state?.failure?.reason ?? '', /daemon of its node was started again/, where);
  }
}

test('killed at any boundary, each is over, given once at most and in order; the instance takes all with it', async () => {
  const { before, names } = await path();
  assert.ok(
    names.some((name) => name.startsWith('agentoperation/keep-blobs')),
    names.join(),
  );
  for (const [offset, name] of names.entries()) {
    const where = `killed at ${name}, ${offset} after the first`;
    const world = await prepare();
    world.killsAt = (_, index) => index === before + offset && world.epoch === 1;
    await carryOut(world);
    assert.is(world.epoch, 2, where);
    assertHonest(world, where);
    assertClean(world, where);
    await remove(world);
    for (const { ref } of OPERATIONS) await untilPhase(world, ref, 'deleted');
    await world.clock.advance(60_000);
    await assertGone(world, where);
  }
});

test('deleted with its instance while one runs: it ends, and nothing waits for it', async () => {
  const world = await prepare();
  const { ref } = OPERATIONS[0] ?? { ref: agentOperationRef('o0') };
  const command = { command: 'execute', commandline: 'sleep', 'block-for-result': true } as const;
  const about = { namespace: 'ns', instanceId: INSTANCE.id, commands: [command] };
  await world.request(ref, { kind: 'create', ...about });
  await world.untilUp('it runs', () => world.phaseOf(ref) === 'executing', PATIENCE_MS);
  await remove(world);
  assert.is(world.phaseOf(ref), 'deleted');
  await assertGone(world, 'with its instance');
});

test('one that no answer comes to is over after an hour, and the next one has its turn', async () => {
  const world = await prepare();
  const make = (index: number, commandline: string) => {
    const ref = agentOperationRef(`o${index}`);
    const command = { command: 'execute', commandline, 'block-for-result': true } as const;
    const about = { namespace: 'ns', instanceId: INSTANCE.id, commands: [command] };
    return world.request(ref, { kind: 'create', ...about }).then(() => ref);
  };
  const endless = await make(0, 'sleep');
  const behind = await make(1, 'echo 2');
  await world.untilUp('it is over', () => world.phaseOf(endless) === 'error', PATIENCE_MS);
  await world.untilUp('the next is done', () => world.phaseOf(behind) === 'complete', 60_000);
});

test('one whose turn comes before its instance has heard of the new daemon is carried out', async () => {
  const world = await prepare();
  const make = (index: number, commandline: string) => {
    const ref = agentOperationRef(`o${index}`);
    const command = { command: 'execute', commandline, 'block-for-result': true } as const;
    const about = { namespace: 'ns', instanceId: INSTANCE.id, commands: [command] };
    return world.request(ref, { kind: 'create', ...about }).then(() => ref);
  };
  const endless = await make(0, 'sleep');
  const behind = await make(1, 'echo 2');
  await world.untilUp('it runs', () => world.phaseOf(endless) === 'executing', PATIENCE_MS);
  world.kill();
  // Nobody tells the instance of the boot.
  await world.untilUp('it is over', () => world.phaseOf(endless) === 'error', PATIENCE_MS);
  await world.untilUp('the next is over', () => isOver(world.phaseOf(behind)), PATIENCE_MS);
  assert.is(world.phaseOf(behind), 'complete');
});

function isOver(phase: string | undefined): boolean {
  return phase === 'complete' || phase === 'error';
}

test('one for an instance that is not there is refused in words', async () => {
  const world = await prepare();
  const ref = agentOperationRef('o9');
  const command = { command: 'get-file', path: '/x' } as const;
  const about = { namespace: 'ns', instanceId: 'nobody', commands: [command] };
  await world.request(ref, { kind: 'create', ...about });
  await world.untilUp('it is refused', () => world.phaseOf(ref) === 'deleted', PATIENCE_MS);
  const { failure } = world.journal.stateOf(ref) as AgentOperationState;
  assert.is(failure?.code, new TroupeError('object/not-found', '').code);
});

test.run();
