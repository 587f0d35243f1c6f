// Which of the links to a peer is used, and what becomes of messages while none is.
import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { TroupeError, type ErrorCode } from '../../../actors/kernel/errors.ts';
import { encodeItem, joinItems, type Item } from '../../../transport/mesh/frame.ts';
import { Peer } from '../../../transport/mesh/peer.ts';
import { ManualClock, settle } from '../../support/kernel.ts';
import { meshEnd, meshHello, type End } from '../../support/mesh-pair.ts';

const test = suite('mesh peer');
const to = { kind: 'instance', id: 'one' };
const options = { trace: 't', timeoutMs: 10_000 };

const frame = (...items: Item[]) => joinItems(items.map(encodeItem));
const code =
  (wanted: ErrorCode, text = /./) =>
  (error: unknown) =>
    error instanceof TroupeError && error.code === wanted && text.test(error.message);

/** What a knows of b; the test plays b. */
class Scene {
  readonly clock = new ManualClock();
  dials = 0;
  onDial: () => void = () => {};
  readonly peer = new Peer({
    self: 'a',
    name: 'b',
    clock: this.clock,
    random: () => 0,
    dial: () => {
      this.dials++;
      this.onDial();
    },
  });

  link(isDialler: boolean): End {
    return meshEnd(this.clock, {
      isDialler,
      onOpen: (link) => this.peer.opened(link),
      onClosed: (link, reason) => {
        if (link.peer !== null) this.peer.closed(link, reason);
        else if (isDialler) this.peer.failed(reason);
      },
    });
  }

  opened(isDialler: boolean, bootId = 'boot-1'): End {
    const end = this.link(isDialler);
    end.link.received(frame(meshHello('b', { bootId })));
    return end;
  }
}

/** The asks that went out over a link. */
async function asks({ wire }: End): Promise<unknown[]> {
  await settle();
  return wire.take().flatMap((item) => (item.kind === 'ask' ? [item.body] : []));
}

const unanswered = (answer: Promise<unknown>) => void answer.catch(() => undefined);

test('of two links the one that the lower name dialled stays, whichever opens first', () => {
  for (const order of [
    [true, false],
    [false, true],
  ]) {
    const scene = new Scene();
    const ends = order.map((isDialler) => scene.opened(isDialler));
    assert.is(scene.peer.link?.isDialler, true);
    const states = ends.map(({ link }) => [link.isDialler, link.state]);
    assert.equal(new Map(states as [boolean, string][]).get(false), 'draining');
  }
});

test('messages wait for our link when the peer drains its own before ours is seen to be open', async () => {
  const scene = new Scene();
  unanswered(scene.peer.ask(to, 'first', options));
  const theirs = scene.opened(false);
  const ours = scene.link(true);
  assert.equal(await asks(theirs), ['first']);
  theirs.link.received(frame({ kind: 'goodbye' }));
  unanswered(scene.peer.ask(to, 'second', options));
  ours.link.received(frame(meshHello('b', { bootId: 'boot-1' })));
  assert.equal(await asks(ours), ['second']);
  assert.is(scene.dials, 1, 'the dialling under way is the one that is waited for');
});

test('a peer that said goodbye and cannot be dialled fails its messages at once', async () => {
  const scene = new Scene();
  const old = scene.opened(false);
  unanswered(old.link.ask(to, 'under way', options));
  old.link.received(frame({ kind: 'goodbye' }));
  assert.is(old.link.state, 'draining');
  scene.onDial = () => scene.peer.failed('ECONNREFUSED');
  await rejects(scene.peer.ask(to, 1, options), code('mesh/unreachable', /ECONNREFUSED/));
  await rejects(scene.peer.ask(to, 2, options), code('mesh/unreachable', /ECONNREFUSED/));
  assert.is(scene.dials, 1);
});

test('a peer with another boot id replaces the old one, whose asks fail at once', async () => {
  const scene = new Scene();
  const old = scene.opened(true, 'boot-1');
  const waiting = rejects(scene.peer.ask(to, 1, options), (error: TroupeError) => {
    assert.is(error.detail['ambiguous'], true);
    return code('mesh/unreachable', /restarted/)(error);
  });
  const fresh = scene.opened(false, 'boot-2');
  await waiting;
  assert.is(old.link.state, 'closed');
  assert.is(scene.peer.link, fresh.link);
  assert.is(scene.peer.trouble, null);
});

test('the pause before another dialling grows, and a link that held ends it', async () => {
  const scene = new Scene();
  scene.onDial = () => scene.peer.failed('refused');
  const pauses: number[] = [];
  for (let round = 0; round < 8; round++) {
    await rejects(scene.peer.ask(to, 1, options), code('mesh/unreachable'));
    const begunAtMono = scene.clock.monoMs();
    while (scene.peer.trouble !== null) await scene.clock.advance(50);
    pauses.push(scene.clock.monoMs() - begunAtMono);
  }
  assert.equal(pauses, [50, 100, 200, 400, 800, 1_600, 2_500, 2_500]);
  const held = scene.opened(false);
  await scene.clock.advance(5_000);
  held.link.wireClosed(1006, 'cut');
  assert.is(scene.peer.trouble, null);
});

test('a dialling that takes too long costs an ask its time and no more, and more than can wait are refused', async () => {
  const scene = new Scene();
  const late = rejects(scene.peer.ask(to, 1, options), code('actor/timeout'));
  const waiting = Array.from({ length: 999 }, () =>
    rejects(scene.peer.ask(to, 1, options), code('actor/timeout')),
  );
  await rejects(scene.peer.ask(to, 1, options), code('mesh/overloaded'));
  await scene.clock.advance(10_000);
  await Promise.all([late, ...waiting]);
  unanswered(scene.peer.ask(to, 'later', options));
  assert.equal(await asks(scene.opened(true)), ['later']);
});

test.run();
