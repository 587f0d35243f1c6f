// The agents of one guest as its monitor sees them: when they are looked at, and what is told of them.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf, TroupeError } from '../../../../actors/kernel/errors.ts';
import { AgentMonitor } from '../../../../src/drivers/guest/agent-monitor.ts';
import type { AgentCall } from '../../../../src/drivers/guest/qemu-agent.ts';
import { VirtualClock } from '../../../sim/cluster/virtual-clock.ts';
import { FakeSfAgent } from '../../../support/fake-sf-agent.ts';
import { waitUntil } from '../../../support/wait.ts';

const test = suite('agent monitor');

const folder = mkdtempSync(join(tmpdir(), 'troupe-agents-'));
let number = 0;

test.after(() => rmSync(folder, { recursive: true }));

function watched() {
  const clock = new VirtualClock();
  const socketPath = join(folder, String(number++));
  const qemu = { isThere: false, pings: 0, answer: (): Promise<unknown> => Promise.resolve({}) };
  const qemuCall: AgentCall = async (execute) => {
    if (execute === 'guest-ping') qemu.pings++;
    if (!qemu.isThere) throw new TroupeError('guest/lost', 'not connected');
    if (execute.startsWith('guest-file')) throw new TroupeError('guest/refused', 'no files');
    return execute === 'guest-exec' ? await qemu.answer() : {};
  };
  const states: string[] = [];
  const monitor: AgentMonitor = new AgentMonitor({
    clock,
    qemuCall,
    inTurn: (work) => work(),
    socketPath,
    onChange: () => states.push(monitor.seen.state),
  });
  return { clock, socketPath, qemu, monitor, states };
}

test('until an agent is heard of there is no contact, and nobody to ask', async () => {
  const { clock, monitor, states } = watched();
  await clock.advance(300_000);
  assert.equal([monitor.seen.state, states], ['not ready (no contact)', []]);
  assert.throws(
    () => monitor.agent,
    (error: unknown) => codeOf(error) === 'guest/lost',
  );
  monitor.stop();
});

test('an agent that opens its channel is ready, closes it is stopped, and comes back', async () => {
  const { clock, qemu, monitor, states } = watched();
  await clock.advance(1);
  qemu.isThere = true;
  monitor.channelChanged(true);
  await clock.advance(1);
  assert.equal(states, ['ready']);
  assert.ok(monitor.agent);
  monitor.channelChanged(false);
  monitor.channelChanged(true);
  await clock.advance(1);
  assert.equal(states, ['ready', 'not ready (agent stopped)', 'ready']);
  monitor.stop();
});

test('one that does not answer its ping is unresponsive, and ready when it does again', async () => {
  const { clock, qemu, monitor, states } = watched();
  qemu.isThere = true;
  monitor.channelChanged(true);
  await clock.advance(1);
  qemu.isThere = false;
  await clock.advance(30_000);
  assert.equal(states, ['ready', 'not ready (unresponsive)']);
  qemu.isThere = true;
  await clock.advance(60_000);
  assert.is(states.at(-1), 'ready');
  monitor.stop();
});

test('one that works for somebody is not pinged meanwhile', async () => {
  const { clock, qemu, monitor } = watched();
  qemu.isThere = true;
  monitor.channelChanged(true);
  await clock.advance(1);
  const { promise, resolve } = Promise.withResolvers<unknown>();
  qemu.answer = () => promise;
  const running = monitor.agent.execute('true', new AbortController().signal).catch(() => null);
  const before = qemu.pings;
  await clock.advance(60_000);
  assert.is(qemu.pings, before);
  resolve({});
  await running;
  await clock.advance(60_000);
  assert.ok(qemu.pings > before);
  monitor.stop();
});

test('sf-agent is connected to again and again, and speaks for itself once it is ready', async () => {
  const { clock, socketPath, monitor, states } = watched();
  await clock.advance(10_000);
  const guest = new FakeSfAgent(socketPath);
  const connected = async () => {
    await clock.advance(2_000);
    return guest.isConnected;
  };
  await waitUntil('a connection', connected);
  await waitUntil('ready', () => states.at(-1) === 'ready');
  assert.is(monitor.seen.bootedAtMs, guest.bootTime * 1000);
  guest.hangUp();
  await waitUntil('gone', () => states.at(-1) === 'not ready (unresponsive)');
  assert.throws(() => monitor.agent);
  await waitUntil('a connection again', connected);
  await waitUntil('ready again', () => states.at(-1) === 'ready');
  monitor.stop();
  await guest.close();
});

test('once it is stopped nothing is told any more', async () => {
  const { clock, qemu, monitor, states } = watched();
  monitor.stop();
  qemu.isThere = true;
  monitor.channelChanged(true);
  await clock.advance(100_000);
  assert.equal(states, []);
});

test.run();
