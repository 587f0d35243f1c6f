// Audits on a clock turned by hand, told to a real node actor.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { localRouter } from '../../../actors/kernel/router.ts';
import { nodePerformers } from '../../../actors/node/effects.ts';
import { node } from '../../../actors/node/node.ts';
import { nodeRef } from '../../../actors/node/state.ts';
import type { Drift } from '../../../actors/network/ports.ts';
import { Audits } from '../../../src/daemon/audits.ts';
import { makeWorld } from '../../support/kernel.ts';
import { GAUGES, MACHINE } from '../../support/machine-facts.ts';

const test = suite('audits');
const FIRST_MS = 30_000;
const BETWEEN_MS = 300_000;

const drift: Drift = {
  owner: 'network/net',
  resource: 'bridge',
  name: 'br-1',
  problem: 'unknown',
  reason: 'nobody wants it',
  repaired: false,
};

/** A registered node, and audits that find what `found` holds at the time. */
async function world() {
  const kernel = makeWorld();
  const { runtime, clock, random, journal } = kernel;
  runtime.register(node, nodePerformers({ carry: () => Promise.resolve() }));
  const router = localRouter(runtime, {});
  runtime.connect(router);
  const register = { kind: 'register', bootId: 'b1', machine: MACHINE, gauges: GAUGES } as const;
  await router.ask(nodeRef('n1'), register, { trace: 't' });
  let audited = 0;
  let found: readonly Drift[] | Error = [];
  const host = {
    audit: () => {
      audited++;
      return found instanceof Error ? Promise.reject(found) : Promise.resolve(found);
    },
  };
  const log = () => {};
  const isWanted = () => undefined;
  let swept = 0;
  const fences = { run: () => Promise.resolve(swept++) };
  const inventory = { run: () => Promise.resolve([]) };
  const options = { node: 'n1', host, inventory, fences, router, clock, random, log, isWanted };
  const start = () => new Audits(options);
  return {
    ...kernel,
    start,
    find: (drifts: readonly Drift[] | Error) => void (found = drifts),
    audited: () => audited,
    swept: () => swept,
    told: () =>
      journal.messagesOf({ kind: 'node', id: 'n1' }).filter((message) => message === 'drift')
        .length,
  };
}

test('a difference that vanishes and comes back is told again; one that stays, once', async () => {
  const { start, find, told, clock } = await world();
  const audits = start();
  find([drift]);
  await clock.advance(FIRST_MS);
  await clock.advance(BETWEEN_MS);
  assert.is(told(), 1);
  find([]);
  await clock.advance(BETWEEN_MS);
  find([drift]);
  await clock.advance(BETWEEN_MS);
  assert.is(told(), 2);
  await audits.stop();
});

test('what an earlier daemon told of is forgotten by the first audit that finds nothing', async () => {
  const { start, find, told, clock } = await world();
  find([drift]);
  const earlier = start();
  await clock.advance(FIRST_MS);
  await earlier.stop();
  const audits = start();
  find([]);
  await clock.advance(FIRST_MS);
  find([drift]);
  await clock.advance(BETWEEN_MS);
  assert.is(told(), 2);
  await audits.stop();
});

test('a machine that stays as wanted costs no writes', async () => {
  const { start, audited, swept, journal, clock } = await world();
  const audits = start();
  await clock.advance(FIRST_MS);
  const before = journal.writes.length;
  await clock.advance(10 * BETWEEN_MS);
  assert.equal([audited(), swept()], [11, 11]);
  assert.is(journal.writes.length, before);
  await audits.stop();
});

test('an audit that fails is made again later, and none after stop()', async () => {
  const { start, find, told, audited, clock } = await world();
  const audits = start();
  find(new Error('no libvirt'));
  await clock.advance(FIRST_MS);
  find([drift]);
  await clock.advance(BETWEEN_MS);
  assert.is(told(), 1);
  await audits.stop();
  await clock.advance(10 * BETWEEN_MS);
  assert.is(audited(), 2);
});

test.run();
