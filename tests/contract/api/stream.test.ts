// The event stream over WebSocket: order, replay and live, resume, who sees what, and what happens to those who do not read.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { namespaceRef } from '../../../actors/namespace/state.ts';
import type { HistoryItem } from '../../../src/archive/history.ts';
import { apiRoutes } from '../../../src/api/routes.ts';
import { apiServer, closeServer } from '../../../src/api/http/server.ts';
import { Hub } from '../../../src/api/stream/hub.ts';
import { resumeToken } from '../../../src/api/stream/resume.ts';
import { openApiWorld, type ApiWorld, type ApiWorldOptions } from '../../support/api-world.ts';
import { eventAt, MemoryHistory } from '../../support/memory-history.ts';
import { seededRandom } from '../../support/kernel.ts';
import { ApiSocket, StreamReader } from '../../support/stream-reader.ts';
import { waitUntil } from '../../support/wait.ts';

const test = suite('event stream');
const alive = setInterval(() => undefined, 1_000);
test.after(() => clearInterval(alive));

async function inWorld(
  body: (world: ApiWorld) => Promise<void>,
  options: ApiWorldOptions = {},
): Promise<void> {
  const world = await openApiWorld(options);
  try {
    await body(world);
  } finally {
    await world.close();
  }
}

function lab(revision: number, changes: Partial<Extract<HistoryItem, { what: 'event' }>> = {}) {
  const event = eventAt(revision);
  const item = {
    what: 'event',
    revision,
    kind: 'instance',
    id: 'i1',
    namespace: 'lab',
    event,
  } as const;
  return { ...item, ...changes };
}

/** Records this many events of `lab`, a revision each. */
function record(world: ApiWorld, count: number): void {
  for (let index = 0; index < count; index++) {
    const revision = world.history.revision + 1;
    world.history.batch([lab(revision)], revision);
  }
}

test('what happened is told first, then what happens, in order', () =>
  inWorld(async (world) => {
    await world.network({ name: 'before' });
    const reader = await new StreamReader(world, { after: 0 }).live();
    const replayed = reader.items.length;
    assert.ok(replayed > 0);
    await world.network({ name: 'after' });
    await waitUntil('news', () => reader.items.length > replayed);
    const revisions = reader.items.map(({ revision }) => revision);
    assert.equal(
      revisions,
      revisions.toSorted((a, b) => a - b),
    );
    const [first] = reader.frames;
    assert.is(first?.frame, 'hello');
    assert.ok(reader.items.every(({ namespace }) => namespace === 'lab'));
    const { event, kind } = reader.items.find((one) => one.kind === 'network') ?? {};
    assert.is(kind, 'network');
    assert.is(typeof event?.message, 'string');
    reader.close();
  }));

test('by default it is what happens from now on', () =>
  inWorld(async (world) => {
    record(world, 3);
    const reader = await new StreamReader(world, {}).live();
    assert.equal(reader.items, []);
    record(world, 1);
    await waitUntil('news', () => reader.items.length === 1);
    reader.close();
  }));

test('filters: object, kind and type', () =>
  inWorld(async (world) => {
    const ofOne = new StreamReader(world, { kind: 'instance', id: 'i1', types: ['audit'] });
    const ofKind = new StreamReader(world, { kind: 'network' });
    await Promise.all([ofOne.live(), ofKind.live()]);
    const next = world.history.revision + 1;
    const audit = eventAt(next, { type: 'audit', message: 'wanted' });
    world.history.batch(
      [
        lab(next),
        lab(next, { event: audit }),
        lab(next, { id: 'i2', event: audit }),
        lab(next, { kind: 'network' }),
      ],
      next,
    );
    await waitUntil('both', () => ofOne.items.length > 0 && ofKind.items.length > 0);
    assert.equal(ofOne.messages, ['wanted']);
    assert.equal(
      ofKind.items.map(({ kind }) => kind),
      ['network'],
    );
    for (const reader of [ofOne, ofKind]) reader.close();
  }));

test('replay and live without a gap or a repetition while others write, however slow the history (property)', () =>
  inWorld(
    async (world) => {
      const random = seededRandom(7);
      let isOver = false;
      const writing = (async () => {
        while (!isOver) {
          const revision = world.history.revision + 1 + Math.floor(random.number() * 3);
          const count = Math.floor(random.number() * 4);
          const items = Array.from({ length: count }, (_, index) =>
            lab(revision, {
              namespace: random.number() < 0.8 ? 'lab' : 'other',
              event: eventAt(revision, { message: `${revision}/${index}` }),
            }),
          );
          if (random.number() < 0.05) world.history.leap(items, revision);
          else world.history.batch(items, revision);
          await new Promise((resolve) => setTimeout(resolve, 2));
        }
      })();
      world.history.beforeRead = () =>
        new Promise((resolve) => setTimeout(resolve, random.number() * 3));
      for (let round = 0; round < 12; round++) {
        const start = Math.floor(random.number() * world.history.revision);
        let after = resumeToken(start);
        const heard: string[] = [];
        for (let part = 0; part < 3; part++) {
          const reader = await new StreamReader(world, { after }).live();
          const seen = reader.items.length;
          await waitUntil('some news', () => reader.items.length > seen + 5);
          reader.close();
          heard.push(...reader.messages);
          after = reader.resume;
        }
        const upTo = Number(Buffer.from(after, 'base64url').toString().split('.')[1]);
        const all = await world.history.read({
          after: start,
          upTo,
          filter: { namespace: 'lab' },
          limit: 1e9,
        });
        const expected = all.items.map((one) => (one.what === 'gap' ? 'gap' : one.event.message));
        assert.equal(heard, expected);
      }
      isOver = true;
      await writing;
    },
    { hub: { keptBytes: 20_000 } },
  ));

test('a reader goes on at another node where it was at the first', () =>
  inWorld(async (world) => {
    const history = new MemoryHistory();
    const hub = new Hub({ node: 'n2', history, clock: world.clock });
    const services = { ...world.services, node: 'n2', hub };
    const server = apiServer(services, apiRoutes(services));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const start = world.history.revision;
    const both = (revision: number) => {
      for (const each of [world.history, history]) each.batch([lab(revision)], revision);
    };
    both(start + 1);
    const first = await new StreamReader(world, { after: resumeToken(start) }).live();
    world.history.batch([lab(start + 2)], start + 2);
    await first.hears(`event ${start + 2}`);
    first.close();
    // The other node is behind: it has not recorded what the reader has seen.
    const second = await new StreamReader(world, { after: first.resume }, { port }).live();
    history.batch([lab(start + 2)], start + 2);
    both(start + 3);
    await second.hears(`event ${start + 3}`);
    assert.equal(first.messages, [`event ${start + 1}`, `event ${start + 2}`]);
    assert.equal(second.messages, [`event ${start + 3}`]);
    assert.is((await second.frame('hello')).node, 'n2');
    second.close();
    hub.close();
    await closeServer(server, 100);
  }));

test('history that is gone is told as a gap, where it would have been', () =>
  inWorld(
    async (world) => {
      const start = world.history.revision;
      record(world, 10);
      world.history.forget(start + 4);
      const reader = await new StreamReader(world, { after: start }).live();
      const [gap, ...events] = reader.items;
      assert.is(gap?.what, 'gap');
      assert.equal([gap?.from, gap?.to, gap?.reason], [start + 1, start + 4, 'retention']);
      assert.is(events.length, 6);
      reader.close();
    },
    { hub: { keptBytes: 0 } },
  ));

test('a place that the cluster has never reached ends the stream, with the reason', () =>
  inWorld(
    async (world) => {
      const reader = new StreamReader(world, { after: 1_000_000 });
      assert.is((await reader.isClosed()).code, 4011);
      const end = await reader.frame('end');
      assert.match(end.reason, '1000000');
    },
    { hub: { aheadMs: 50 } },
  ));

test('a tenant sees its own, and what trust opens; system sees all; nobody else sees nodes', () =>
  inWorld(async (world) => {
    const own = new StreamReader(world, {});
    const system = new StreamReader(world, {}, { as: 'system' });
    const nodes = new StreamReader(world, { kind: 'node' });
    await Promise.all([own.live(), system.live(), nodes.live()]);
    const next = world.history.revision + 1;
    const all = [
      lab(next),
      lab(next, { namespace: 'other' }),
      lab(next, { namespace: 'system', kind: 'node', id: 'n1' }),
      lab(next, { namespace: 'system', kind: 'blob', id: 'b1' }),
    ];
    world.history.batch(all, next);
    await waitUntil('system', () => system.items.length === 4);
    await waitUntil('own', () => own.items.length === 1);
    assert.equal(nodes.items, []);
    for (const namespace of ['other', 'system', 'nowhere']) {
      const stranger = new StreamReader(world, { namespace });
      const { code, reason } = await stranger.isClosed();
      assert.equal([code, reason], [4003, 'namespace not found']);
    }
    await world.tell(namespaceRef('other'), { kind: 'trust', namespace: 'lab' });
    const trusted = await new StreamReader(world, { namespace: 'other' }).live();
    const later = world.history.revision + 1;
    const theirs = ['instance', 'network', 'artifact', 'namespace', 'blob'].map((kind) =>
      lab(later, { namespace: 'other', kind }),
    );
    world.history.batch(theirs, later);
    await waitUntil('what trust opens', () => trusted.items.length > 0);
    assert.equal(
      trusted.items.map(({ kind }) => kind),
      ['artifact', 'namespace'],
    );
    await world.tell(namespaceRef('other'), { kind: 'untrust', namespace: 'lab' });
    assert.is((await trusted.isClosed()).code, 4003);
    assert.is((await trusted.frame('end')).code, 4003);
    for (const reader of [own, system, nodes]) reader.close();
  }));

test('a stream dies with its key, and says so', () =>
  inWorld(async (world) => {
    const reader = await new StreamReader(world, {}).live();
    const other = await new StreamReader(world, {}, { as: 'other' }).live();
    await world.setKey('lab', 'another');
    assert.equal((await reader.frame('end')).code, 4001);
    assert.is((await reader.isClosed()).code, 4001);
    assert.is(other.closed, undefined);
    other.close();
  }));

test('no secret, hash or nonce of a key is ever in a frame', () =>
  inWorld(async (world) => {
    const reader = await new StreamReader(world, { after: 0 }, { as: 'system' }).live();
    await world.ok('POST', '/auth/namespaces/lab/keys', {
      body: { key_name: 'new', key: 'very secret' },
    });
    await world.ok('POST', '/auth/namespaces/lab/metadata', { body: { key: 'a', value: 'b' } });
    await world.network({});
    await waitUntil('events of it', () => reader.items.some(({ kind }) => kind === 'network'));
    const told = reader.texts.join('\n');
    const keys = Object.values(world.read.namespaces.get('lab')?.state.keys ?? {});
    for (const { hash, salt, nonce } of keys)
      for (const secret of [hash, salt, nonce, 'very secret']) assert.not.match(told, secret);
    reader.close();
  }));

test('a reader that does not read costs a bounded buffer, then is cut; others are not held up', () =>
  inWorld(
    async (world) => {
      const slow = await new StreamReader(world, {}).live();
      const quick = await new StreamReader(world, {}).live();
      slow.socket.pause();
      const text = 'x'.repeat(20_000);
      let sent = 0;
      await waitUntil(
        'it is cut',
        async () => {
          for (let count = 0; count < 20; count++, sent++) {
            const revision = world.history.revision + 1;
            world.history.batch(
              [lab(revision, { event: eventAt(revision, { message: text }) })],
              revision,
            );
          }
          await waitUntil('the quick one has all', () => quick.items.length === sent);
          return world.sockets.size === 1;
        },
        20_000,
      );
      assert.ok(sent > 50, `${sent} events`);
      slow.socket.resume();
      await slow.isClosed();
      assert.ok(slow.items.length < sent);
      // What was handed over until then is whole and in order: it goes on from there.
      const again = await new StreamReader(world, { after: slow.resume }).live();
      assert.is(slow.items.length + again.items.length, sent);
      for (const reader of [quick, again]) reader.close();
    },
    { hub: { stallMs: 300, keptBytes: 300_000 } },
  ));

test('a client that answers no ping is cut', () =>
  inWorld(
    async (world) => {
      const dead = await new StreamReader(world, {}).live();
      (dead.socket as unknown as { _autoPong: boolean })._autoPong = false;
      await waitUntil('it is cut', () => world.sockets.size === 0);
      await dead.isClosed();
    },
    { sockets: { pingMs: 20, deadMs: 100 } },
  ));

test('a client to whom nothing happens is told now and then how far that goes', () =>
  inWorld(
    async (world) => {
      const reader = await new StreamReader(world, { kind: 'network' }).live();
      record(world, 1);
      const here = resumeToken(world.history.revision);
      const marks = () => reader.frames.filter(({ frame }) => frame === 'mark');
      await waitUntil('it is told', () => marks().some(({ resume }) => resume === here));
      // And that it is connected, though nothing happens at all.
      const told = marks().length;
      await waitUntil('it is told again', () => marks().length > told);
      reader.close();
    },
    { hub: { markMs: 20 } },
  ));

test('too many of one namespace are refused, those of others are not', () =>
  inWorld(
    async (world) => {
      const readers = [new StreamReader(world, {}), new StreamReader(world, {})];
      for (const reader of readers) await reader.live();
      const refused = await new StreamReader(world, {}).isRefused();
      assert.is(refused.status, 503);
      const other = await new StreamReader(world, {}, { as: 'other' }).live();
      readers[0]?.close();
      await waitUntil('there is room', () => world.sockets.size === 2);
      const again = await new StreamReader(world, {}).live();
      for (const reader of [...readers, other, again]) reader.close();
    },
    { sockets: { perNamespace: 2 } },
  ));

test('a daemon that stops says so', () =>
  inWorld(async (world) => {
    const reader = await new StreamReader(world, {}).live();
    const closing = world.sockets.close();
    assert.is((await reader.isClosed()).code, 1001);
    await closing;
  }));

for (const [asked, reason] of [
  ['no JSON', 'JSON object'],
  ['[]', 'object'],
  [{ nonsense: 1 }, 'nonsense'],
  [{ types: ['nonsense'] }, 'types'],
  [{ id: 'i1' }, 'kind'],
  [{ after: 'nonsense' }, 'resume token'],
  [{ after: -1 }, 'after'],
  [{ after: 1.5 }, 'after'],
  [{ namespace: 7 }, 'namespace'],
] as const) {
  test(`refused with a reason: ${JSON.stringify(asked)}`, () =>
    inWorld(async (world) => {
      const reader = new StreamReader(world, asked);
      assert.is((await reader.isClosed()).code, 4000);
      const end = await reader.frame('end');
      assert.is(end.code, 4000);
      assert.match(end.reason, reason);
    }));
}

test('a second subscription, a large frame and silence end the socket', () =>
  inWorld(async (world) => {
    const twice = await new StreamReader(world, {}).live();
    twice.socket.send('{}');
    assert.is((await twice.isClosed()).code, 4000);
    const large = new StreamReader(world, JSON.stringify({ id: 'x'.repeat(70_000) }));
    assert.is((await large.isClosed()).code, 1009);
  }));

test('what is no upgrade, and what no route speaks', () =>
  inWorld(async (world) => {
    assert.is((await world.call('GET', '/stream')).status, 426);
    assert.is((await world.call('GET', '/stream', { as: null })).status, 401);
    assert.is((await new ApiSocket(world, '/instances').isRefused()).status, 400);
    assert.is((await new ApiSocket(world, '/nowhere').isRefused()).status, 404);
    assert.is((await new ApiSocket(world, '/stream', { as: null }).isRefused()).status, 401);
    // Another upgrade than to WebSocket is not taken, and the request answered.
    const headers = { Connection: 'Upgrade', Upgrade: 'h2c' };
    assert.is((await world.call('GET', '/instances', { headers })).status, 200);
  }));

test.run();
