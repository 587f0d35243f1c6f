import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeWorld, settle } from '../../support/kernel.ts';
import { job, jobKind, quickWork } from './toy.ts';

const test = suite('kernel turn');
const trace = { trace: 't1' };

test('a turn writes state, events and index in one transaction, then replies with its revision', async () => {
  const { runtime, journal } = makeWorld();
  runtime.register(jobKind(), { work: () => new Promise(() => {}) });
  const reply = await runtime.ask(job('a'), { kind: 'create', name: 'first' }, trace);
  assert.equal(reply, { value: { generation: 1 }, revision: 1 });
  assert.is(journal.writes.length, 1);
  const [write] = journal.writes;
  assert.is(write?.epoch, 1);
  assert.is(write?.snapshot?.schema, 1);
  assert.equal(write?.index, { before: null, after: { namespace: 'test', name: 'first' } });
  const [event] = write?.events ?? [];
  assert.is(event?.message, 'created');
  assert.is(event?.trace, 't1');
  assert.is(event?.node, 'n1');
  assert.is(event?.atMs, 1_000_000);
});

test('the outcome of an effect is a message of its own, and moves the state on', async () => {
  const { runtime, journal } = makeWorld();
  runtime.register(jobKind(), quickWork);
  await runtime.ask(job('a'), { kind: 'create', name: 'first' }, trace);
  await settle();
  assert.equal(journal.messagesOf(job('a')), ['created', 'worked 1']);
  await rejects(runtime.ask(job('b'), { kind: 'read' }, trace), { code: 'object/not-found' });
});

test.run();
