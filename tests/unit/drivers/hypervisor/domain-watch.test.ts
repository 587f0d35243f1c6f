import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DomainReport } from '../../../../actors/instance/ports.ts';
import { DomainRecords } from '../../../../src/drivers/hypervisor/domain-record.ts';
import { DomainWatch } from '../../../../src/drivers/hypervisor/domain-watch.ts';
import { Turns } from '../../../../src/drivers/turns.ts';
import { Ledger } from '../../../../src/drivers/ledger.ts';
import type { LibvirtEvent } from '../../../../src/drivers/libvirt/link.ts';
import { wantedBy } from '../../../contract/hypervisor/lab.ts';

const test = suite('hypervisor: domain watch');
const ID = '6f0c1c52-3a55-4c0e-9a3a-5b1f6f5f2a10';
const ref = { uuid: ID, name: `troupe-${ID}`, id: 1 };
const stopped = (detail: string): LibvirtEvent => ({
  kind: 'lifecycle',
  domain: ref,
  event: 'stopped',
  detail,
});
const up: DomainReport = {
  power: 'on',
  offReason: null,
  consolePort: 1,
  vdiPort: 2,
  vdiTlsPort: null,
  accelerator: 'tcg',
};

/** A watch over one recorded domain; `now` is what a look finds. */
function setUp() {
  const ledger = new Ledger(':memory:');
  const records = new DomainRecords(ledger);
  records.claim(ID, wantedBy(ID), { hardReboots: 0, softReboots: 0 });
  const turns = new Turns();
  const world: { now: DomainReport | undefined; looks: number; fails: boolean } = {
    now: up,
    looks: 0,
    fails: false,
  };
  const warnings: string[] = [];
  const watch = new DomainWatch({
    records,
    turns,
    log: (_, message) => warnings.push(message),
    look: async () => {
      world.looks++;
      if (world.fails) throw new Error('libvirtd is away');
      return world.now;
    },
  });
  const told: (string | undefined)[] = [];
  watch.subscribe((_, report) => told.push(report.power));
  return { watch, records, turns, world, told, warnings };
}

test('the reason of a stop is in the ledger before anything else happens (E1)', () => {
  const { watch, records } = setUp();
  watch.hear(stopped('shutdown'));
  assert.is(records.get(ID)?.offReason, 'guest');
  watch.hear(stopped('crashed'));
  assert.is(records.get(ID)?.offReason, 'lost');
});

test('a shutdown that the host asked QEMU for is a loss, and a start wipes the slate (E1)', () => {
  const { watch, records } = setUp();
  const event = { kind: 'lifecycle', domain: ref } as const;
  watch.hear({ ...event, event: 'shutdown', detail: 'host' });
  watch.hear(stopped('shutdown'));
  assert.is(records.get(ID)?.offReason, 'lost');
  watch.hear({ ...event, event: 'started', detail: 'booted' });
  assert.is(records.get(ID)?.offReason, 'none');
  watch.hear({ ...event, event: 'shutdown', detail: 'guest' });
  watch.hear(stopped('shutdown'));
  assert.is(records.get(ID)?.offReason, 'guest');
});

test('a look waits for what is being done to the domain, and many events take one look (E2)', async () => {
  const { watch, turns, world, told } = setUp();
  let finish: () => void = () => undefined;
  const work = turns.run(ID, () => new Promise<void>((resolve) => (finish = resolve)));
  for (let count = 0; count < 5; count++) watch.hear(stopped('destroyed'));
  await new Promise((resolve) => setImmediate(resolve));
  assert.is(world.looks, 0);
  finish();
  await work;
  await turns.idle();
  assert.is(world.looks, 1);
  assert.equal(told, ['on']);
});

test('what was told or returned already is no news (E2)', async () => {
  const { watch, turns, world, told } = setUp();
  watch.remember(ID, up);
  watch.hear(stopped('destroyed'));
  await turns.idle();
  assert.equal(told, []);
  world.now = { ...up, power: 'off', offReason: 'guest' };
  watch.hear(stopped('shutdown'));
  await turns.idle();
  assert.equal(told, ['off']);
});

test('a reboot of the guest and a reconnect are told even when nothing differs (E3)', async () => {
  const { watch, turns, told } = setUp();
  watch.remember(ID, up);
  watch.hear({ kind: 'reboot', domain: ref });
  await turns.idle();
  watch.hear({ kind: 'connected' });
  await turns.idle();
  assert.equal(told, ['on', 'on']);
});

test("events of domains that are not in the ledger are nobody's here", async () => {
  const { watch, turns, world } = setUp();
  const stranger = { ...ref, uuid: '00000000-0000-4000-8000-000000000000' };
  watch.hear({ kind: 'lifecycle', domain: stranger, event: 'stopped', detail: 'crashed' });
  await turns.idle();
  assert.is(world.looks, 0);
});

test('a look that fails is logged, and the next event looks again', async () => {
  const { watch, turns, world, told, warnings } = setUp();
  world.fails = true;
  watch.hear(stopped('crashed'));
  await turns.idle();
  assert.is(warnings.length, 1);
  world.fails = false;
  watch.hear({ kind: 'connected' });
  await turns.idle();
  assert.equal(told, ['on']);
});

test.run();
