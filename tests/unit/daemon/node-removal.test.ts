// A node that will not return: removed in the store, and barred from joining.
import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isErrorCode, TroupeError, type ErrorCode } from '../../../actors/kernel/errors.ts';
import { initial, node } from '../../../actors/node/node.ts';
import type { NodeState } from '../../../actors/node/state.ts';
import { NodeRemoval } from '../../../src/daemon/node-removal.ts';
import {
  admissionKey,
  Admissions,
  encodeAdmission,
} from '../../../transport/sharding/admission.ts';
import { readEntry, StoreJournal } from '../../../transport/sharding/journal.ts';
import { Membership } from '../../../transport/sharding/membership.ts';
import { encodeEnvelope } from '../../../transport/store/codec.ts';
import { GroupCommit } from '../../../transport/store/group-commit.ts';
import { clusterKeys } from '../../../transport/store/keys.ts';
import { MemoryCluster } from '../../../transport/store/memory-cluster.ts';
import { MemoryStore } from '../../../transport/store/memory-store.ts';
import { keptLog, ManualClock, seededRandom, settle } from '../../support/kernel.ts';
import { MACHINE } from '../../support/machine-facts.ts';

const test = suite('removal of nodes');
const keys = clusterKeys('test');

const refused = (code: ErrorCode) => (error: unknown) =>
  error instanceof TroupeError && error.code === code && isErrorCode(code);

/** A store that knows the node `n2`, with the key `old`. */
async function world() {
  const clock = new ManualClock();
  const store = new MemoryStore({ cluster: new MemoryCluster({ clock }) });
  const { log } = keptLog();
  const journal = new StoreJournal(store, new GroupCommit({ store, clock }), keys);
  const options = { node: 'n1', store, keys, journal, clock, random: seededRandom(1) };
  const removal = new NodeRemoval(options);
  const reservations = { vm: { cpus: 1, memoryMiB: 1, diskGiB: 1, grantedAtMs: 1 } };
  const marked = { ...reservations.vm, isRunning: true, isBuilt: true };
  const state: NodeState = {
    ...initial,
    phase: 'created',
    machine: MACHINE,
    bootId: 'b',
    reservations: { vm: marked },
  };
  const { schema } = node.snapshot;
  await store.put(keys.object('node', 'n2'), encodeEnvelope({ schema, state, trace: 't' }));
  const admit = (key: string) =>
    store.put(admissionKey(keys, 'n2'), encodeAdmission({ node: 'n2', key, isRemoved: false }));
  await admit('old');
  const join = (key: string, bootId = 'b1') => {
    const who = { node: 'n2', installation: key, bootId, version: '1', api: '', vtep: '' };
    const member = { ...who, mesh: null, format: 1, weight: 1 };
    return Membership.join({ store, keys, clock, log, member, leaseTtlMs: 10_000, key });
  };
  const read = async () => {
    const entry = await store.get(keys.object('node', 'n2'));
    return (entry === null ? null : readEntry(entry).snapshot.state) as NodeState;
  };
  const timing = { clock, random: () => 0.5, log };
  const follow = () => new Admissions({ store, keys, ...timing });
  return { clock, store, removal, journal, admit, join, read, follow };
}

test('it is deleted with an event, holds nothing, and a second time is quiet', async () => {
  const { removal, read, journal } = await world();
  const revision = await removal.remove('n2', 'trace-1');
  const { phase, reservations, machine } = await read();
  assert.equal([phase, reservations], ['deleted', {}]);
  assert.ok(machine !== null, 'what it was can be read');
  const events = await journal.events({ kind: 'node', id: 'n2' }, { limit: -1, type: null });
  assert.equal(
    events.map(({ event: { message, trace, node: by } }) => [message, trace, by]),
    [['removed from the cluster', 'trace-1', 'n1']],
  );
  assert.is(await removal.remove('n2', 'trace-2'), revision);
  await rejects(removal.remove('nobody', 't'), refused('object/not-found'));
});

test('one whose daemon is a member is not removed, nor one that joins in between', async () => {
  const { store, removal, join, read } = await world();
  const membership = await join('old');
  await rejects(removal.remove('n2', 't'), refused('node/is-member'));
  await membership.leave();
  const txn = store.txn.bind(store);
  store.txn = async (request) => {
    store.txn = txn;
    await join('old');
    return txn(request);
  };
  await rejects(removal.remove('n2', 't'), refused('node/is-member'));
  assert.is((await read()).phase, 'created');
});

test('one that has been removed does not join, also when it is removed as it joins', async () => {
  const { store, removal, join, clock } = await world();
  const txn = store.txn.bind(store);
  store.txn = async (request) => {
    store.txn = txn;
    await removal.remove('n2', 't');
    return txn(request);
  };
  await rejects(join('old'), refused('host/locked'), 'it lost the race');
  await rejects(join('old'), refused('node/removed'));
  await rejects(join(''), refused('node/removed'));
  await clock.advance(20_000);
  assert.is(await store.get(keys.member('n2')), null);
});

test('an invitation gives the name to another machine, and to no other', async () => {
  const { removal, admit, join } = await world();
  await removal.remove('n2', 't');
  await admit('new');
  await rejects(join('old'), refused('node/removed'));
  await (await join('new')).leave();
});

test('who follows the admissions hears of a removal, and knows by the key who may come in', async () => {
  const { removal, admit, follow } = await world();
  const admissions = follow();
  const gone: string[] = [];
  admissions.onRemoved((name) => gone.push(name));
  await admissions.ready();
  const welcome = () => ['old', 'new'].map((key) => admissions.isWelcome('n2', key));
  assert.equal(welcome(), [true, false]);
  assert.ok(admissions.isWelcome('n9', 'any'), 'of an authority, and nobody said no');
  await removal.remove('n2', 't');
  await settle();
  assert.equal([gone, welcome()], [['n2'], [false, false]]);
  await admit('new');
  await settle();
  assert.equal(welcome(), [false, true]);
  await admissions.close();
});

test.run();
