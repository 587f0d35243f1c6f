import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DomainRecord } from '../../../../src/drivers/hypervisor/domain-record.ts';
import { offReason, planPower } from '../../../../src/drivers/hypervisor/power.ts';
import type { Observed, Situation } from '../../../../src/drivers/hypervisor/power.ts';

const test = suite('hypervisor: power');

const started: DomainRecord = {
  startedFor: 1,
  hardReboots: 0,
  softReboots: 0,
  offReason: 'none',
  bootId: 'boot-1',
  consolePort: 30_000,
  vdiPort: 30_001,
  vdiTlsPort: 0,
};
const never: DomainRecord = { ...started, startedFor: 0, bootId: '' };
const on: Observed = { power: 'on' };
const paused: Observed = { power: 'paused', byItself: false };
const ioPaused: Observed = { power: 'paused', byItself: true };
const crashed: Observed = { power: 'crashed' };
const off = (reason: 'guest' | 'requested' | 'lost' | 'unknown'): Observed => ({
  power: 'off',
  reason,
});

function plan(
  observed: Observed,
  wanted: Partial<Situation['wanted']>,
  more: Partial<Omit<Situation, 'observed' | 'wanted'>> = {},
) {
  const whole = { power: 'on' as const, powerOns: 1, hardReboots: 0, softReboots: 0, ...wanted };
  const rest = { record: started, bootId: 'boot-1', mayRetryIo: true, ...more };
  return planPower({ observed, wanted: whole, ...rest });
}

test('what is as wanted needs no step', () => {
  assert.equal(plan(on, {}), []);
  assert.equal(plan(paused, { power: 'paused' }), []);
  assert.equal(plan(off('requested'), { power: 'off' }), []);
  assert.equal(plan(off('unknown'), { power: 'off', powerOns: 0 }, { record: never }), []);
});

test('a new power on starts it, whatever stopped it (W1)', () => {
  for (const reason of ['guest', 'requested', 'lost', 'unknown'] as const) {
    assert.equal(plan(off(reason), { powerOns: 2 }), ['start'], reason);
    assert.equal(plan(off(reason), { powerOns: 2, power: 'paused' }), ['start-paused'], reason);
  }
});

test('without a new power on only a lost guest is started again (W1)', () => {
  assert.equal(plan(off('lost'), {}), ['start']);
  assert.equal(plan(off('guest'), {}), []);
  assert.equal(plan(off('requested'), {}), []);
});

test('a guest that ran when the host went down is started again, one that was off is not', () => {
  assert.equal(plan(off('unknown'), {}, { bootId: 'boot-2' }), ['start']);
  const record = { ...started, offReason: 'guest' as const };
  assert.equal(plan(off('unknown'), {}, { bootId: 'boot-2', record }), []);
});

test('a stop that nobody saw, in the same boot of the host, was the guest itself', () => {
  assert.is(offReason('unknown', started, 'boot-1'), 'guest');
  assert.equal(plan(off('unknown'), {}), []);
});

test('one that was never started has no reason to be off', () => {
  assert.is(offReason('unknown', never, 'boot-1'), null);
});

test("libvirt's word on why it is off beats the record", () => {
  const record = { ...started, offReason: 'requested' as const };
  assert.is(offReason('lost', record, 'boot-1'), 'lost');
  assert.is(offReason('unknown', record, 'boot-2'), 'requested');
});

test('a QEMU that the host told to end is lost, though it ends like a shutdown of the guest', () => {
  const record = { ...started, offReason: 'lost' as const };
  assert.is(offReason('guest', record, 'boot-1'), 'lost');
  assert.is(offReason('requested', record, 'boot-1'), 'requested');
});

test('off is one step from anything', () => {
  for (const observed of [on, paused, ioPaused, crashed]) {
    assert.equal(plan(observed, { power: 'off', hardReboots: 5 }), ['destroy']);
  }
});

test('a reboot is due once per count, and a hard one makes a soft one moot (W2)', () => {
  assert.equal(plan(on, { hardReboots: 3 }), ['reset']);
  assert.equal(plan(on, { softReboots: 3 }), ['reboot']);
  assert.equal(plan(on, { hardReboots: 1, softReboots: 1 }), ['reset']);
  const record = { ...started, hardReboots: 3, softReboots: 3 };
  assert.equal(plan(on, { hardReboots: 3, softReboots: 3 }, { record }), []);
});

test('a reboot of what is off is no reason to start it (W3)', () => {
  assert.equal(plan(off('guest'), { hardReboots: 1, softReboots: 1 }), []);
});

test('a guest that is stopped goes on before it is rebooted, and one to be paused is rebooted first', () => {
  assert.equal(plan(paused, { hardReboots: 1 }), ['resume', 'reset']);
  assert.equal(plan(on, { power: 'paused', hardReboots: 1 }), ['reset', 'suspend']);
  assert.equal(plan(paused, { power: 'paused', hardReboots: 1 }), ['reset']);
});

test('after an I/O error it is resumed only when another try is due', () => {
  assert.equal(plan(ioPaused, {}), ['resume']);
  assert.equal(plan(ioPaused, {}, { mayRetryIo: false }), []);
  assert.equal(plan(ioPaused, { power: 'paused' }), []);
});

test('a crashed guest is left for inspection until power on or a hard reboot is asked for', () => {
  assert.equal(plan(crashed, {}), []);
  assert.equal(plan(crashed, { softReboots: 1 }), []);
  assert.equal(plan(crashed, { hardReboots: 1 }), ['destroy', 'start']);
  assert.equal(plan(crashed, { powerOns: 2 }), ['destroy', 'start']);
});

test.run();
