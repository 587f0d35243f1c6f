// Which fences a real ledger forgets, given what the store has.
import { rejects } from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { FenceSweep } from '../../../src/daemon/fence-sweep.ts';
import { Ledger } from '../../../src/drivers/ledger.ts';
import { MemoryJournal } from '../../support/kernel.ts';

const test = suite('fence sweep');
const directory = mkdtempSync(join(tmpdir(), `troupe-fences-${process.pid}-`));
test.after(() => rmSync(directory, { recursive: true, force: true }));
let number = 0;

const OWNER = 'instance/one';
const address = { kind: 'instance', id: 'one' };
const fence = { epoch: 5, generation: 2 };

/** A ledger that has seen a want of OWNER. */
function world() {
  const ledger = new Ledger(join(directory, `ledger-${number++}`));
  ledger.fence(OWNER, fence);
  const journal = new MemoryJournal();
  return { ledger, journal, sweep: new FenceSweep({ ledger, journal }) };
}

test('the fence of an object that the store has not is forgotten by the second sweep', async () => {
  const { ledger, sweep } = world();
  assert.is(await sweep.run(), 0);
  assert.equal(ledger.lastFence(OWNER), fence);
  assert.is(await sweep.run(), 1);
  assert.is(ledger.lastFence(OWNER), undefined);
});

test('so is that of one which is deleted', async () => {
  const { ledger, journal, sweep } = world();
  journal.put(address, 1, { phase: 'deleted' });
  await sweep.run();
  await sweep.run();
  assert.is(ledger.lastFence(OWNER), undefined);
});

test('any other object keeps its fence, an unreadable one too', async () => {
  const { ledger, journal, sweep } = world();
  for (const state of [{ phase: 'delete-wait' }, { phase: 'error' }, {}, null, 'garbage']) {
    journal.put(address, 1, state);
    await sweep.run();
    await sweep.run();
    assert.equal(ledger.lastFence(OWNER), fence, JSON.stringify(state));
  }
});

test('an object keeps its fence while anything of it is on this machine', async () => {
  const { ledger, sweep } = world();
  const recorded = { ...fence, owner: OWNER, trace: 't', detail: {} };
  ledger.record({ ...recorded, resource: 'domain', name: 'troupe-one' });
  await sweep.run();
  await sweep.run();
  assert.equal(ledger.lastFence(OWNER), fence);
});

test('a want between two sweeps begins the wait anew', async () => {
  const { ledger, sweep } = world();
  await sweep.run();
  ledger.fence(OWNER, { epoch: 5, generation: 3 });
  assert.is(await sweep.run(), 0);
  assert.is(await sweep.run(), 1);
});

test('a store out of reach says nothing about what it has', async () => {
  const { ledger, journal, sweep } = world();
  await sweep.run();
  journal.fault = () => 'unavailable';
  await rejects(sweep.run(), /no answer/);
  assert.equal(ledger.lastFence(OWNER), fence);
});

test.run();
