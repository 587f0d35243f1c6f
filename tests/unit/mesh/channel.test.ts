// Byte channels between daemons, over real links.
import { rejects } from 'node:assert/strict';
import { once } from 'node:events';
import { PassThrough, type Duplex } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { systemClock } from '../../../actors/kernel/clock.ts';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import {
  channelDialler,
  CHANNELS_PATH,
  ChannelServer,
  type OpenChannel,
} from '../../../transport/mesh/channel.ts';
import { failure, meshLab } from '../../support/mesh-lab.ts';
import { waitUntil } from '../../support/wait.ts';

const test = suite('mesh: channels');
const lab = meshLab();
const common = { cluster: 'lab', clock: systemClock };
test.after(() => lab.close());

/** Dials from `a` what `b` opens. */
function between(
  open: OpenChannel,
  body: (
    dial: (about: string, node?: string) => Promise<Duplex>,
    server: ChannelServer,
  ) => Promise<void>,
): Promise<void> {
  return lab.inCluster(async (cluster) => {
    const server = new ChannelServer(common, open);
    await cluster.start('b', { doors: new Map([[CHANNELS_PATH, server.door]]) });
    const dialler = channelDialler(common, lab.identityOf('a'), (node) => {
      const port = cluster.ports.get(node);
      return port === undefined ? undefined : { host: '127.0.0.1', port };
    });
    try {
      await body((about, node = 'b') => dialler.open(node, about), server);
    } finally {
      server.close();
    }
  });
}

/** What is written there comes back. */
const echo: OpenChannel = () => Promise.resolve(new PassThrough());

test('bytes go both ways whole and in order', () =>
  between(echo, async (dial) => {
    const channel = await dial('echo');
    const sent = Buffer.alloc(5_000_000, 'some bytes ');
    const heard: Buffer[] = [];
    channel.on('data', (chunk: Buffer) => heard.push(chunk));
    channel.write(sent);
    await waitUntil(
      'all is back',
      () => heard.reduce((sum, one) => sum + one.length, 0) >= sent.length,
    );
    assert.ok(Buffer.concat(heard).equals(sent));
    channel.destroy();
  }));

test('who serves is told what it is about and by whom; its refusal comes with its code', () =>
  between(
    (about, from) =>
      Promise.reject(
        new TroupeError('object/wrong-phase', `${JSON.stringify(about)} of ${from}: off`),
      ),
    async (dial) => {
      await rejects(dial('console'), failure('object/wrong-phase', /"console" of a: off/));
    },
  ));

test('nobody there, and another who answers, are out of reach', () =>
  between(echo, async (dial) => {
    await rejects(dial('x', 'nobody'), failure('mesh/unreachable', /no such member/));
  }));

test('who does not read is not sent to', () => {
  const source = new PassThrough();
  return between(
    () => Promise.resolve(source),
    async (dial) => {
      const channel = await dial('much');
      let taken = 0;
      const feed = setInterval(() => {
        while (source.write(Buffer.alloc(64 * 1024))) taken += 64 * 1024;
      }, 1);
      let before = -1;
      await waitUntil('it is held up', async () => {
        const isHeld = taken === before && taken > 0;
        before = taken;
        await new Promise((resolve) => setTimeout(resolve, 100));
        return isHeld;
      });
      clearInterval(feed);
      assert.ok(taken < 40_000_000, String(taken));
      channel.destroy();
      await once(source, 'close');
    },
  );
});

test('an end at either side is one at the other, with the reason when it is no good one', async () => {
  const opened: PassThrough[] = [];
  const open: OpenChannel = () => {
    const made = new PassThrough();
    made.on('error', () => undefined);
    opened.push(made);
    return Promise.resolve(made);
  };
  await between(open, async (dial, server) => {
    const left = await dial('1');
    left.destroy();
    await once(opened[0] ?? left, 'close');
    const ended = await dial('2');
    ended.resume();
    opened[1]?.push(null);
    await once(ended, 'end');
    const failed = await dial('3');
    opened[2]?.destroy(new Error('the guest is gone'));
    const [error] = (await once(failed, 'error')) as [Error];
    assert.match(error.message, 'the guest is gone');
    const stopped = await dial('4');
    server.close();
    const [stop] = (await once(stopped, 'error')) as [Error];
    assert.match(stop.message, 'stopping');
  });
});

test.run();
