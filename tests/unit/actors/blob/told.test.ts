// Who may begin while the replica on its node is still being made.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { withLazyUsers } from '../../../../actors/blob/migrate.ts';
import { blob } from '../../../../actors/blob/blob.ts';
import { blobPerformers } from '../../../../actors/blob/effects.ts';
import type { BlobMessage, BlobState, Content } from '../../../../actors/blob/state.ts';
import { toBeTold } from '../../../../actors/blob/told.ts';
import { TroupeError } from '../../../../actors/kernel/errors.ts';
import { stepper } from '../random-walk.ts';
import { CONTENT } from '../../../support/blob-content.ts';

const test = suite('told before the copy is there');
const source = { kind: 'url', url: 'http://images.test/a' } as const;
const content = {
  ...CONTENT,
  sizeBytes: 1000,
  sourceSizeBytes: 1000,
  virtualSizeBytes: 2000,
} as const;
const VM = 'instance/vm';
const lazily: BlobMessage = {
  kind: 'need',
  user: VM,
  node: 'n2',
  forDisk: true,
  lazyFromBytes: 1000,
};

const made = (change: Partial<Content> = {}) =>
  stepper(blob)
    .send({ kind: 'create', source, node: 'n1', user: 'artifact/a' })
    .send({ kind: 'fetched', content: { ...content, ...change } });
type Stepper = ReturnType<typeof made>;

const told = ({ state }: Stepper) => toBeTold(state).find(({ user }) => user === VM);
const tellKey = ({ state }: Stepper) =>
  blob.effects(state).find(({ name }) => name === 'tell-users')?.key;
const copied = ({ state }: Stepper): BlobMessage => ({
  kind: 'copied',
  node: 'n2',
  generation: state.replicas['n2']?.generation ?? -1,
});
const early = { user: VM, failed: null, isOnItsWay: true };

test('while the copy is made, and again when it is there', () => {
  const one = made().send(lazily);
  assert.equal(told(one), early);
  assert.is(tellKey(one), `0 artifact/a,${VM} early`);
  one.send(copied(one));
  assert.equal(told(one), { user: VM, failed: null });
  assert.is(tellKey(one), `0 artifact/a,${VM}`, 'who could not read through hears of it now');
});

const NOT_YET: readonly (readonly [string, () => Stepper])[] = [
  ['it has not said so', () => made().send({ kind: 'need', user: VM, node: 'n2', forDisk: true })],
  ['it bases no disk on it', () => made().send({ ...lazily, forDisk: false } as BlobMessage)],
  ['the image is too small', () => made({ sizeBytes: 999 }).send(lazily)],
  ['a CD-ROM is attached as the file it is', () => made({ format: 'iso' }).send(lazily)],
  ['bytes of which no disk can be made', () => made({ format: 'raw' }).send(lazily)],
  [
    'nobody in reach holds it',
    () =>
      made()
        .send(lazily)
        .send({
          kind: 'nodes-changed',
          copies: 2,
          patienceMs: 1000,
          nodes: [
            { node: 'n1', isUp: false, takesMore: true },
            { node: 'n2', isUp: true, takesMore: true },
          ],
        }),
  ],
  [
    'its own node is away',
    () =>
      made()
        .send(lazily)
        .send({
          kind: 'nodes-changed',
          copies: 2,
          patienceMs: 1000,
          nodes: [{ node: 'n2', isUp: false, takesMore: true }],
        }),
  ],
  [
    'the bytes are not known yet',
    () =>
      stepper(blob).send({ kind: 'create', source, node: 'n1', user: 'artifact/a' }).send(lazily),
  ],
];
for (const [why, make] of NOT_YET) {
  test(`not when ${why}`, () => assert.is(told(make()), undefined));
}

test('a copy that cannot be made is said, whoever began without it', () => {
  const one = made().send(lazily);
  const key = blob.effects(one.state).find(({ name }) => name === 'copy')?.key ?? '';
  const why = { code: 'image/damaged', reason: 'one of them was damaged' } as const;
  one.send({ kind: 'effect-failed', effect: 'copy', key, ...why });
  assert.is(told(one)?.failed?.code, 'image/damaged');
  assert.ok(one.events.includes('a copy could not be made'));
});

test('the copy that is read ahead of, and the last one to read from, are not given up', () => {
  const one = made().send(lazily);
  const nodes = ['n1', 'n2', 'n3'].map((node) => ({ node, isUp: true, takesMore: true }));
  one.send({ kind: 'nodes-changed', copies: 1, patienceMs: 1000, nodes });
  const phases = Object.entries(one.state.replicas).map(([node, { phase }]) => `${node} ${phase}`);
  assert.equal(phases, ['n1 verified', 'n2 copying']);
});

test('what is known of a user goes with it', () => {
  const one = made().send(lazily).send({ kind: 'unuse', user: VM });
  assert.equal(one.state.lazyFrom, {});
  one.send(lazily).send({ kind: 'need', user: VM, node: 'n2', forDisk: true });
  assert.equal(one.state.lazyFrom, {}, 'it has changed its mind');
});

test('who wants to read it is told what it is and who holds it, itself left out', () => {
  const one = made().send(lazily);
  one.send(copied(one));
  const turn = { id: 'b1', now: 0, random: () => 0.5 };
  const reply = (node: string) => blob.transition(one.state, { kind: 'holders', node }, turn).reply;
  assert.equal(reply('n2'), { content, nodes: ['n1'] });
  assert.equal(reply('n1'), { content, nodes: ['n2'] });
});

test('a stored blob of before is read: everybody waited', () => {
  const { lazyFrom: _, ...old } = made().state;
  assert.equal(withLazyUsers(old), made().state);
});

/** Runs tell-users with a node that can, or cannot, read through; returns who was told what. */
async function tell(state: BlobState, canRead: boolean): Promise<unknown[]> {
  const heard: unknown[] = [];
  const performers = blobPerformers({
    maxSizeBytes: 1,
    fetchTimeoutMs: 1,
    copies: () => 1,
    claims: { release: () => Promise.resolve() },
    transcodeIdleMs: 1,
    patienceMs: 1,
    nodes: () => [],
  });
  const ask = (to: { kind: string; id: string }, message: { kind: string }) => {
    if (to.kind !== 'machine') {
      heard.push({ to: `${to.kind}/${to.id}`, ...message });
      return Promise.resolve(true);
    }
    assert.equal([to.id, message.kind], ['n2', 'read-through']);
    if (canRead) return Promise.resolve(true);
    return Promise.reject(new TroupeError('image/unreachable', 'a firewall'));
  };
  const context = { self: { kind: 'blob', id: 'b1' }, ask, key: '', attempt: 1 };
  await performers['tell-users'](state, context as never);
  return heard.map((one) => (one as { to: string }).to);
}

test('a node that cannot read through makes its user wait, as if it had never been willing not to', async () => {
  const one = made().send(lazily);
  assert.equal(await tell(one.state, true), ['artifact/a', VM]);
  assert.equal(await tell(one.state, false), ['artifact/a']);
  one.send(copied(one));
  assert.equal(await tell(one.state, false), ['artifact/a', VM]);
});

test.run();
