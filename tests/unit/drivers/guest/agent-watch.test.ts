// Whose agents are watched: of instances that expect one, while they run.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DomainReport } from '../../../../actors/instance/ports.ts';
import { TroupeError } from '../../../../actors/kernel/errors.ts';
import { AgentWatch } from '../../../../src/drivers/guest/agent-watch.ts';
import { VirtualClock } from '../../../sim/cluster/virtual-clock.ts';

const test = suite('agent watch');

const ON: DomainReport = {
  power: 'on',
  offReason: null,
  consolePort: 1,
  vdiPort: 2,
  vdiTlsPort: null,
  accelerator: 'tcg',
};

function watch() {
  const clock = new VirtualClock();
  const changed: string[] = [];
  const sockets: string[] = [];
  const qemu = { isThere: false };
  const agents = new AgentWatch({
    clock,
    qemuCall: () => async (execute) => {
      if (!qemu.isThere) throw new TroupeError('guest/lost', 'not connected');
      if (execute !== 'guest-ping') throw new TroupeError('guest/refused', 'no');
      return {};
    },
    socketPath: (instanceId) => {
      sockets.push(instanceId);
      return '/dev/null/nothing';
    },
    onChange: (instanceId) => changed.push(instanceId),
  });
  return { clock, changed, sockets, qemu, agents };
}

test('an instance without the side channel is reported as it is, and nothing is asked of it', () => {
  const { agents } = watch();
  agents.expect('i', ['other']);
  assert.is(agents.reported('i', ON), ON);
  assert.throws(() => agents.agentOf('i'), /does not run, or has no agent/);
});

test('a guest that runs is watched until it does not', async () => {
  const { agents, changed, clock, qemu, sockets } = watch();
  agents.expect('i', ['sf-agent']);
  assert.is(agents.reported('i', ON).agent?.state, 'not ready (no contact)');
  assert.equal(sockets, ['i']);
  qemu.isThere = true;
  agents.channelChanged('i', true);
  await clock.advance(1);
  assert.equal(changed, ['i']);
  assert.is(agents.reported('i', ON).agent?.state, 'ready');
  assert.is(agents.reported('i', { ...ON, power: 'paused' }).agent, null);
  assert.throws(() => agents.agentOf('i'));
  // Resumed it is looked at anew.
  assert.is(agents.reported('i', ON).agent?.state, 'not ready (no contact)');
  await clock.advance(1);
  assert.is(agents.reported('i', ON).agent?.state, 'ready');
  agents.stop();
});

test("the successor's side channel expects an agent too, and has no port of ours", async () => {
  const { agents, sockets } = watch();
  agents.expect('i', ['sf-agent2']);
  assert.is(agents.reported('i', ON).agent?.state, 'not ready (no contact)');
  assert.equal(sockets, []);
  agents.forget('i');
  assert.is(agents.reported('i', ON), ON);
});

test.run();
