// What a node grants, by table: its state decides, and what it has granted counts.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { canHoldBlobs, capacityOf, hasRole } from '../../../../actors/node/capacity.ts';
import { node } from '../../../../actors/node/node.ts';
import type { Grant, NodeMessage, Role } from '../../../../actors/node/state.ts';
import { seededRandom } from '../../../support/kernel.ts';
import { GAUGES, MACHINE } from '../../../support/machine-facts.ts';
import { stepper } from '../random-walk.ts';

const test = suite('reservations');

const register = { kind: 'register', bootId: 'b1', machine: MACHINE, gauges: GAUGES } as const;
const withRoles = (...roles: Role[]): NodeMessage => {
  return { ...register, machine: { ...MACHINE, roles } };
};
const AMOUNT = { cpus: 1, memoryMiB: 4_096, diskGiB: 8 };
const reserve = (instanceId: string, amount: Partial<typeof AMOUNT> = {}) =>
  ({ kind: 'reserve', instanceId, ...AMOUNT, ...amount }) as const;
const measured = (availableMemoryMiB: number, ...running: string[]): NodeMessage => {
  return { kind: 'measured', gauges: { ...GAUGES, availableMemoryMiB }, running, built: running };
};

const fresh = () => stepper(node, 'n1');
const made = (message: NodeMessage = register) => fresh().send(message);

/** `granted`, or what it was refused for. */
function ask(one: ReturnType<typeof fresh>, message: NodeMessage): string {
  const step = one.try(message);
  if (step.refusal !== null) return step.refusal.reason;
  const grant = step.reply as Grant;
  return grant.isGranted ? 'granted' : `${grant.check}: ${grant.reason}`;
}

test('as many are granted as there is room for, the same one as often as it asks', () => {
  const one = made();
  assert.is(ask(one, reserve('a')), 'granted');
  assert.is(ask(one, reserve('b')), 'granted');
  assert.is(ask(one, reserve('a')), 'granted');
  assert.equal(Object.keys(one.state.reservations), ['a', 'b']);
  assert.is(
    ask(one, reserve('c')),
    'idle RAM: needs 4096 MiB, 1760 MiB available of 16384 (12000 free, 2048 kept for the machine), reserved 8192 by guests that do not run',
  );
  assert.is(ask(one, reserve('d', { memoryMiB: 1_760 })), 'granted');
});

test('what is given back is free again', () => {
  const one = made();
  one.send(reserve('a')).send(reserve('b'));
  one.send({ kind: 'release', instanceIds: ['a', 'nobody'] });
  assert.is(ask(one, reserve('c')), 'granted');
  assert.equal(Object.keys(one.state.reservations), ['b', 'c']);
});

test('a guest that runs is in the gauges, and counts once; one that is off keeps its claim', () => {
  const one = made();
  one.send(reserve('a')).send(reserve('b'));
  one.send(measured(12_000 - 8_192, 'a', 'b'));
  assert.is(ask(one, reserve('c', { memoryMiB: 1_760 })), 'granted');
  one.send({ kind: 'release', instanceIds: ['c'] });
  one.send(measured(12_000 - 4_096, 'a'));
  assert.is(ask(one, reserve('d', { memoryMiB: 1_760 })), 'granted');
  assert.match(ask(one, reserve('e', { memoryMiB: 1 })), /^idle RAM/);
});

test('a daemon that starts has not seen who runs: nobody is taken for measured', () => {
  const one = made().send(reserve('a')).send(measured(8_000, 'a'));
  one.send({ ...register, bootId: 'b2' });
  assert.is(one.state.reservations['a']?.isRunning, false);
  assert.match(ask(one, reserve('b', { memoryMiB: 6_000 })), /^idle RAM/);
});

test('each limit refuses by its name', () => {
  const rows: readonly (readonly [Partial<typeof AMOUNT>, RegExp])[] = [
    [{ cpus: 256 }, /^vCPU limit: needs 256 vCPUs, an instance may have 255$/],
    [{ cpus: 65 }, /^idle CPU: needs 65 vCPUs, 64 left of 64 \(4 CPUs 16 fold\), reserved 0$/],
    [{ diskGiB: 81 }, /^disk space: needs 81 GiB, 80 GiB available \(100 free, 20 kept free\)/],
  ];
  for (const [amount, expected] of rows) assert.match(ask(made(), reserve('a', amount)), expected);
});

test('a node that runs no instances grants nothing, and says so', () => {
  assert.is(ask(made(withRoles('storage', 'api')), reserve('a')), 'hypervisors: is no hypervisor');
  assert.is(ask(fresh(), reserve('a')), 'node not found');
  assert.is(ask(made().park(), reserve('a')), 'node n1 is in state error');
});

test('who is there already is taken in whatever the limits, once', () => {
  const one = made();
  const instances = [{ instanceId: 'a', ...AMOUNT, memoryMiB: 500_000 }];
  one.send({ kind: 'adopt', instances }).send({ kind: 'adopt', instances });
  assert.is(one.state.reservations['a']?.memoryMiB, 500_000);
  assert.match(ask(one, reserve('b')), /^idle RAM/);
});

test('roles are what the machine says; before it has spoken it has none', () => {
  assert.is(hasRole({ machine: null }, 'hypervisor'), false);
  assert.is(canHoldBlobs(made().state), true);
  assert.is(canHoldBlobs(made(withRoles('hypervisor')).state), false);
  assert.is(canHoldBlobs(made().park().state), false);
});

test('whatever is reserved, measured and given back: a grant never goes over a limit', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = seededRandom(seed);
    const below = (most: number) => Math.floor(random.number() * most);
    const one = made();
    for (let step = 0; step < 60; step++) {
      const id = `i${below(12)}`;
      const dice = random.number();
      if (dice < 0.2) one.send({ kind: 'release', instanceIds: [id] });
      else if (dice < 0.4) one.send(measured(below(14_000), `i${below(12)}`, `i${below(12)}`));
      else {
        const amount = { cpus: below(30), memoryMiB: below(9_000), diskGiB: below(60) };
        const isHeld = Object.hasOwn(one.state.reservations, id);
        if (ask(one, reserve(id, amount)) !== 'granted' || isHeld) continue;
        assertWithin(one.state, `seed ${seed} step ${step}`);
      }
    }
  }
});

function assertWithin(state: Parameters<typeof capacityOf>[0], where: string): void {
  const held = capacityOf(state, '');
  assert.ok(held !== null, where);
  if (held === null) return;
  const { limits, gauges, outstanding, reserved } = held;
  assert.ok(reserved.cpus <= held.cpus * limits.cpuRatio, where);
  assert.ok(reserved.memoryMiB <= held.memoryMiB * limits.memoryRatio, where);
  const memory = outstanding.memoryMiB + limits.reservedMemoryMiB;
  assert.ok(memory <= gauges.availableMemoryMiB, where);
  assert.ok(outstanding.diskGiB + limits.reservedDiskGiB <= gauges.freeDiskGiB, where);
}

test.run();
