// Which daemons are there: told to what has something on their machines, again until it is heard.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { blob, initial as newBlob } from '../../../actors/blob/blob.ts';
import { newReplica } from '../../../actors/blob/replicas.ts';
import { instance, initial as newInstance } from '../../../actors/instance/instance.ts';
import { network, initial as newNetwork } from '../../../actors/network/network.ts';
import { node, initial as newNode } from '../../../actors/node/node.ts';
import type { Address, Message } from '../../../actors/kernel/kind.ts';
import type { Router } from '../../../actors/kernel/ports.ts';
import { Presence } from '../../../src/daemon/presence.ts';
import { ReadModel } from '../../../src/read/read-model.ts';
import type { Member } from '../../../transport/sharding/member.ts';
import { GAUGES, MACHINE } from '../../support/machine-facts.ts';
import { keptLog, ManualClock, seededRandom } from '../../support/kernel.ts';

const test = suite('presence');
const LOST_MS = 10_000;

const CONTENT = {
  sha512: 'x',
  sourceSizeBytes: 1,
  sourceSha256: 'y',
  sourceFormat: 'qcow2',
  format: 'qcow2',
  mimeType: '',
  virtualSizeBytes: 1,
  etag: null,
  lastModified: null,
};

function world() {
  const clock = new ManualClock();
  const { log } = keptLog();
  const read = new ReadModel(clock, log);
  const told: string[] = [];
  const state = {
    members: [] as Member[] | null,
    owned: true,
    isDeaf: false,
    answer: null as ((kind: string, id: string) => void) | null,
  };
  let changed = () => {};
  let revision = 0;
  const put = (kind: string, id: string, schema: number, value: object) => {
    const snapshot = { schema, state: value };
    read.apply([{ kind, id, snapshot, revision: ++revision }], revision, false);
  };
  const router: Router = {
    tell: () => assert.unreachable(),
    ask: (to: Address, message: Message) => {
      const { node: name, boot = 'gone' } = message as unknown as { node: string; boot?: string };
      told.push(`${to.kind}/${to.id}: ${name} ${boot}`);
      if (state.isDeaf) return Promise.reject(new Error('not now'));
      if (state.answer !== null) state.answer(to.kind, to.id);
      else if (to.kind === 'instance') put('instance', to.id, instance.snapshot.schema, vm(boot));
      else put('network', to.id, network.snapshot.schema, net(boot));
      return Promise.resolve({ value: null, revision });
    },
  };
  const presence = new Presence({
    cluster: {
      epochOf: () => (state.owned ? 1 : null),
      onChange: (listener) => {
        changed = listener;
        return () => {};
      },
      get members() {
        return state.members;
      },
    },
    read,
    router,
    clock,
    random: seededRandom(1),
    log,
    lostAfterMs: LOST_MS,
    blobs: { copies: 2, patienceMs: 1 },
  });
  const register = (bootId: string) =>
    put('node', 'n2', node.snapshot.schema, { ...newNode, phase: 'created', bootId });
  register('b0');
  /** Each has registered, as all do that are done with joining. */
  const members = (...list: Member[]) => {
    for (const { bootId } of list) register(bootId);
    state.members = list;
    changed();
  };
  const joining = (one: Member) => {
    state.members = [one];
    changed();
  };
  return { clock, told, state, members, joining, register, put, presence };
}

const vm = (boot: string | null) => ({
  ...newInstance,
  phase: 'created',
  node: 'n2',
  nodeBoot: boot,
});
const net = (boot: string | null) => ({
  ...newNetwork,
  phase: 'created',
  nodes: ['n2'],
  boots: boot === null ? {} : { n2: boot },
});

function member(bootId: string): Member {
  const common = { node: 'n2', installation: 'i', version: '1', api: '', vtep: '10.0.0.2' };
  return { ...common, bootId, mesh: null, format: 1, weight: 1 };
}

function standing(boot: string | null = null) {
  const one = world();
  one.put('instance', 'i', instance.snapshot.schema, vm(boot));
  one.put('network', 'n', network.snapshot.schema, net(boot));
  return one;
}

test('each boot is told once; nothing runs when all agree', async () => {
  const { clock, told, members } = standing();
  members(member('b1'));
  await clock.advance(5_000);
  assert.equal(told, ['instance/i: n2 b1', 'network/n: n2 b1']);
  assert.is(clock.pending, 0);
  members(member('b2'));
  await clock.advance(5_000);
  assert.equal(told.slice(2), ['instance/i: n2 b2', 'network/n: n2 b2']);
  assert.is(clock.pending, 0);
});

test('a daemon is missing after a while, not before; one that is back in time never was', async () => {
  const { clock, told, members } = standing('b1');
  members(member('b1'));
  await clock.advance(1_000);
  members();
  await clock.advance(LOST_MS - 500);
  members(member('b1'));
  await clock.advance(LOST_MS);
  assert.equal(told, []);
  members();
  await clock.advance(LOST_MS - 1);
  assert.equal(told, []);
  await clock.advance(1_000);
  assert.equal(told, ['instance/i: n2 ', 'network/n: n2 ']);
});

test('what was not heard is told again', async () => {
  const { clock, told, state, members } = standing();
  state.isDeaf = true;
  members(member('b1'));
  await clock.advance(1_500);
  const tries = told.length;
  assert.ok(tries >= 4, told.join());
  state.isDeaf = false;
  await clock.advance(5_000);
  assert.is(told.length, tries + 2);
  assert.is(clock.pending, 0);
});

test('a daemon that has not said yet what its machine is now is told of to nobody', async () => {
  const { clock, told, joining, register } = standing('b1');
  joining(member('b2'));
  await clock.advance(3 * LOST_MS);
  assert.equal(told, [], 'a network would be told by the old address of the machine');
  register('b2');
  await clock.advance(2_000);
  assert.equal(told, ['instance/i: n2 b2', 'network/n: n2 b2']);
  assert.is(clock.pending, 0);
});

test('what comes to a machine while no daemon comes or goes is told of the boot too', async () => {
  const { clock, told, state, members, put } = standing('b1');
  members(member('b1'));
  await clock.advance(5_000);
  put('instance', 'j', instance.snapshot.schema, vm(null));
  put('network', 'm', network.snapshot.schema, net(null));
  await clock.advance(2_000);
  assert.equal(told, ['instance/j: n2 b1', 'network/m: n2 b1']);
  put('instance', 'j', instance.snapshot.schema, { ...vm('b1'), generation: 2 });
  assert.is(clock.pending, 0, 'what is known is not looked at again');
  state.owned = false;
  put('instance', 'k', instance.snapshot.schema, vm(null));
  assert.is(clock.pending, 0, "another's to tell");
});

test('after an outage of our own others get the whole time to come back', async () => {
  const { clock, told, state, members } = standing('b1');
  members();
  await clock.advance(LOST_MS / 2);
  state.members = null;
  await clock.advance(2 * LOST_MS);
  members();
  await clock.advance(LOST_MS - 2_000);
  assert.equal(told, []);
  await clock.advance(4_000);
  assert.equal(told, ['instance/i: n2 ', 'network/n: n2 ']);
});

test('who owns nothing, or is no member, tells nobody', async () => {
  const { clock, told, state, members, presence } = standing();
  state.owned = false;
  members(member('b1'));
  await clock.advance(5_000);
  state.owned = true;
  state.members = null;
  await clock.advance(5_000);
  assert.equal(told, []);
  await presence.stop();
  assert.is(clock.pending, 0);
});

test('who has something on a node that was removed hears that it is gone, until it has nothing there', async () => {
  const { clock, told, members, put, state } = standing('b1');
  const copy = { phase: 'verified', generation: 1, awayUntilMs: null, isInUse: false } as const;
  const replica = {
    ...copy,
    isWhole: true,
    usedAtMs: 0,
    failure: null,
    failures: 0,
    retryAtMs: null,
  };
  const shortage = { copies: 1, wanted: 2, why: 'nodes' } as const;
  const stored = { ...newBlob, phase: 'created', replicas: { n1: replica, n2: replica } };
  put('blob', 'b', blob.snapshot.schema, stored);
  members();
  await clock.advance(LOST_MS / 2);
  state.answer = (kind, id) => {
    if (kind === 'instance')
      put(kind, id, instance.snapshot.schema, { ...vm('b1'), phase: 'deleted' });
    if (kind === 'network') put(kind, id, network.snapshot.schema, { ...net('b1'), nodes: [] });
    if (kind === 'blob')
      put(kind, id, blob.snapshot.schema, { ...stored, replicas: { n1: replica }, shortage });
  };
  put('node', 'n2', node.snapshot.schema, { ...newNode, phase: 'deleted' });
  await clock.advance(2 * LOST_MS);
  assert.equal(told, ['instance/i: n2 gone', 'network/n: n2 gone', 'blob/b: n2 gone']);
  assert.is(clock.pending, 0);
  const lost = { ...replica, phase: 'lost', awayUntilMs: 1 };
  put('blob', 'b', blob.snapshot.schema, {
    ...stored,
    replicas: { n2: lost },
    shortage: { copies: 0, wanted: 2, why: 'source' },
  });
  await clock.advance(LOST_MS);
  assert.is(told.length, 3, 'the last trace of the bytes is kept');
});

// Nobody came or went, so nobody looked: the blob had one copy until the next daemon started somewhere.
test('a blob that has too few copies for want of room hears of a node that has room by now', async () => {
  const { clock, told, members, put, state } = standing('b1');
  const shortage = { copies: 1, wanted: 2, why: 'room' } as const;
  const [n1, n2] = [newReplica(1), newReplica(2)];
  const first = { ...newBlob, phase: 'created', replicas: { n1: { ...n1, phase: 'verified' } } };
  const roomOf = (freeDiskGiB: number) =>
    put('node', 'n2', node.snapshot.schema, {
      ...newNode,
      phase: 'created',
      bootId: 'b1',
      machine: { ...MACHINE, limits: { ...MACHINE.limits, reservedDiskGiB: 1 } },
      gauges: { ...GAUGES, freeDiskGiB },
    });
  const sized = { ...first, shortage, content: { ...CONTENT, sizeBytes: 5 * 2 ** 30 } };
  put('blob', 'b', blob.snapshot.schema, sized);
  members(member('b1'));
  roomOf(2);
  await clock.advance(5 * LOST_MS);
  assert.equal(told, []);
  state.answer = (kind, id) =>
    put(kind, id, blob.snapshot.schema, { ...sized, replicas: { ...sized.replicas, n2 } });
  roomOf(50);
  await clock.advance(60_000);
  assert.equal(told, ['blob/b: undefined gone']);
});

test.run();
