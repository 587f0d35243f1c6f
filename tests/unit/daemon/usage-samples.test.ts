// Samples of what guests use, on a clock turned by hand.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KEPT, UsageSamples, usageExtra } from '../../../src/daemon/usage-samples.ts';
import type { DomainUsage } from '../../../src/drivers/hypervisor/usage.ts';
import { makeWorld } from '../../support/kernel.ts';

const test = suite('usage samples');
const MINUTE_MS = 60_000;

const USAGE: DomainUsage = {
  instanceId: 'vm',
  cpu: { totalNs: 9, systemNs: 2, userNs: 3 },
  residentBytes: 4096,
  disks: [
    {
      device: 'vda',
      readRequests: 1,
      readBytes: 512,
      writeRequests: 2,
      writeBytes: 1024,
      usedBytes: 65_536,
    },
  ],
  nics: [
    {
      mac: '02:00:00:00:00:01',
      read: { bytes: 10, packets: 1, errors: 0, drops: 5 },
      write: { bytes: 20, packets: 2, errors: 1, drops: 0 },
    },
  ],
  oom: { score: '666', adjustment: '0' },
};

function world() {
  const { clock, random } = makeWorld();
  let now: readonly DomainUsage[] | Error = [USAGE];
  const logged: string[] = [];
  const usage = () => (now instanceof Error ? Promise.reject(now) : Promise.resolve(now));
  const log = (_level: string, message: string) => void logged.push(message);
  const samples = new UsageSamples({ node: 'n1', usage, clock, random, log });
  const minutes = async (count: number) => {
    for (let minute = 0; minute < count; minute++) await clock.advance(MINUTE_MS);
  };
  return { clock, samples, logged, minutes, show: (shown: typeof now) => void (now = shown) };
}

test('a running guest has a sample for each minute, an hour of them, and ids in their order', async () => {
  const { samples, minutes } = world();
  await minutes(3);
  assert.is(samples.of('vm').length, 3);
  await minutes(2 * KEPT);
  const kept = samples.of('vm');
  assert.is(kept.length, KEPT);
  const ids = kept.map(({ id }) => id);
  assert.equal(ids, ids.toSorted());
  assert.is(Number(kept.at(-1)?.atMs) - Number(kept[0]?.atMs), (KEPT - 1) * MINUTE_MS);
  assert.equal([kept[0]?.type, kept[0]?.node, kept[0]?.extra], ['usage', 'n1', usageExtra(USAGE)]);
  await samples.stop();
});

test('what a guest used before it ended is told for an hour, then forgotten', async () => {
  const { samples, minutes, show } = world();
  await minutes(2);
  show([]);
  await minutes(KEPT - 1);
  assert.is(samples.of('vm').length, 2);
  assert.equal(samples.latest, []);
  await minutes(2);
  assert.is(samples.of('vm').length, 0);
  await samples.stop();
});

test('a libvirt that does not answer costs samples, and nothing else', async () => {
  const { samples, minutes, show, logged } = world();
  show(new Error('no libvirt'));
  await minutes(2);
  assert.is(samples.of('vm').length, 0);
  assert.is(logged[0], 'what guests use is not counted');
  show([USAGE]);
  await minutes(1);
  assert.is(samples.of('vm').length, 1);
  await samples.stop();
});

test("the members are called as the contract calls them, and what isn't known is left out", () => {
  const extra = usageExtra({ ...USAGE, oom: null });
  assert.equal(extra, {
    'cpu usage': { 'cpu time ns': 9, 'system time ns': 2, 'user time ns': 3 },
    'disk usage': {
      vda: {
        'read requests': 1,
        'read bytes': 512,
        'write requests': 2,
        'write bytes': 1024,
        errors: -1,
        'actual bytes on disk': 65_536,
      },
    },
    'network usage': {
      '02:00:00:00:00:01': {
        'read bytes': 10,
        'read packets': 1,
        'read errors': 0,
        'read drops': 5,
        'write bytes': 20,
        'write packets': 2,
        'write errors': 1,
        'write drops': 0,
      },
    },
  });
  assert.is(usageExtra(USAGE)['oom_score'], '666');
});

test.run();
