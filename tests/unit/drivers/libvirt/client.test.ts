import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { connectLibvirt, type LibvirtOptions } from '../../../../src/drivers/libvirt/client.ts';
import { isLibvirtError, LibvirtError } from '../../../../src/drivers/libvirt/errors.ts';
import type { LibvirtReason } from '../../../../src/drivers/libvirt/errors.ts';
import { EVENTS } from '../../../../src/drivers/libvirt/events.ts';
import { KEEPALIVE_PROGRAM, type Frame } from '../../../../src/drivers/libvirt/frame.ts';
import type { LibvirtEvent } from '../../../../src/drivers/libvirt/link.ts';
import { PROCEDURES } from '../../../../src/drivers/libvirt/procedures.ts';
import { domain, remoteError } from '../../../../src/drivers/libvirt/wire.ts';
import { encode, i32, struct } from '../../../../src/drivers/libvirt/xdr.ts';
import { startFakeLibvirtd, type FakeHandler, type FakePeer } from './fake-libvirtd.ts';
import { until } from './until.ts';

const test = suite('libvirt client against a peer that misbehaves');

const UUID = '01234567-89ab-cdef-0123-456789abcdef';
const HOSTNAME = PROCEDURES.connectGetHostname;
const hostnameReply = (hostname: string) => encode(HOSTNAME.result, { hostname });
const isHostname = (frame: Frame) => frame.type === 'call' && frame.procedure === HOSTNAME.number;

/** Runs a test body with a fake daemon and a client connected to it. */
async function withClient(
  body: (context: {
    fake: Awaited<ReturnType<typeof startFakeLibvirtd>>;
    libvirt: Awaited<ReturnType<typeof connectLibvirt>>;
    events: LibvirtEvent[];
    peer: FakePeer;
  }) => Promise<void>,
  options: Partial<LibvirtOptions> & { handle?: FakeHandler } = {},
): Promise<void> {
  const fake = await startFakeLibvirtd(options.handle);
  const libvirt = await connectLibvirt({ socketPath: fake.socketPath, ...options });
  const events: LibvirtEvent[] = [];
  libvirt.subscribe((event) => events.push(event));
  const [peer] = fake.peers;
  try {
    if (peer === undefined) throw new Error('the client did not connect');
    await body({ fake, libvirt, events, peer });
  } finally {
    await libvirt.close();
    await fake.close();
  }
}

function fails(reason: LibvirtReason, more: Partial<LibvirtError> = {}) {
  return (error: unknown) => {
    assert.instance(error, LibvirtError);
    assert.ok(isLibvirtError(error, reason), String(error));
    for (const [key, value] of Object.entries(more)) {
      assert.equal(Reflect.get(error, key), value, key);
    }
    return true;
  };
}

test('a stalled call fails at its deadline, outcome unknown; its late reply disturbs nobody', async () => {
  await withClient(async ({ fake, libvirt, peer }) => {
    let stalled: Frame | undefined;
    fake.handle = (frame) => {
      if (!isHostname(frame) || stalled !== undefined) return false;
      stalled = frame;
      return true;
    };
    const call = libvirt.host.hostname({ timeoutMs: 30 });
    await rejects(
      call,
      fails('deadline', { outcome: 'unknown', procedure: HOSTNAME.name, code: 0 }),
    );
    fake.handle = (frame, to) => {
      if (isHostname(frame)) to.reply(frame, hostnameReply('later'));
      return isHostname(frame);
    };
    if (stalled === undefined) throw new Error('the call never arrived');
    peer.reply(stalled, hostnameReply('too late'));
    assert.is(await libvirt.host.hostname(), 'later');
    assert.ok(libvirt.connected);
  });
});

test('replies in any order go to their callers', async () => {
  const waiting: Frame[] = [];
  const handle: FakeHandler = (frame, peer) => {
    if (!isHostname(frame)) return false;
    waiting.push(frame);
    if (waiting.length < 3) return true;
    for (const each of waiting.toReversed()) peer.reply(each, hostnameReply(`h${each.serial}`));
    return true;
  };
  await withClient(
    async ({ libvirt }) => {
      const calls = [libvirt.host.hostname(), libvirt.host.hostname(), libvirt.host.hostname()];
      const names = await Promise.all(calls);
      assert.equal(
        names,
        waiting.map(({ serial }) => `h${serial}`),
      );
    },
    { handle },
  );
});

test('no more calls are with the daemon than allowed; the rest waits and can still be given up', async () => {
  await withClient(
    async ({ fake, libvirt, peer }) => {
      fake.handle = isHostname;
      const first = libvirt.host.hostname();
      const second = libvirt.host.hostname();
      const third = libvirt.host.hostname({ timeoutMs: 20 });
      await rejects(third, fails('deadline', { outcome: 'not-sent' }));
      const sent = () => peer.received.filter(isHostname);
      assert.is(sent().length, 2);
      const fourth = libvirt.host.hostname();
      for (const frame of sent()) peer.reply(frame, hostnameReply('a'));
      await Promise.all([first, second]);
      await until(() => sent().length === 3);
      const last = sent()[2];
      if (last !== undefined) peer.reply(last, hostnameReply('d'));
      assert.is(await fourth, 'd');
    },
    { maxInFlight: 2 },
  );
});

test('a connection whose every place hangs is given up for a new one', async () => {
  await withClient(
    async ({ fake, libvirt, events }) => {
      fake.handle = isHostname;
      const calls = [1, 2].map(() => libvirt.host.hostname({ timeoutMs: 20 }));
      await Promise.all(calls.map((call) => rejects(call, fails('deadline'))));
      await until(() => events.some(({ kind }) => kind === 'connected'));
      fake.handle = (frame, peer) => {
        if (isHostname(frame)) peer.reply(frame, hostnameReply('new'));
        return isHostname(frame);
      };
      assert.is(await libvirt.host.hostname(), 'new');
      assert.is(fake.peers.length, 2);
    },
    { maxInFlight: 2 },
  );
});

test('an abort tells the caller at once', async () => {
  await withClient(async ({ fake, libvirt }) => {
    fake.handle = isHostname;
    const aborter = new AbortController();
    const call = libvirt.host.hostname({ signal: aborter.signal });
    aborter.abort();
    await rejects(call, fails('aborted', { outcome: 'unknown' }));
    const already = libvirt.host.hostname({ signal: AbortSignal.abort() });
    await rejects(already, fails('aborted', { outcome: 'not-sent' }));
  });
});

test("libvirt's error arrives with its number, domain and level", async () => {
  await withClient(async ({ fake, libvirt }) => {
    fake.handle = (frame, peer) => {
      if (!isHostname(frame)) return false;
      const about = { name: 'vm', uuid: UUID, id: -1 };
      const none = {
        about,
        text1: null,
        text2: null,
        text3: null,
        int1: 0,
        int2: 0,
        network: null,
      };
      const error = { code: 42, domain: 10, message: 'Domain not found', level: 2, ...none };
      peer.send({ ...frame, type: 'reply', status: 'error', payload: encode(remoteError, error) });
      return true;
    };
    const expected = {
      code: 42,
      domain: 10,
      level: 2,
      outcome: 'failed',
      procedure: HOSTNAME.name,
    };
    await rejects(libvirt.host.hostname(), fails('no-domain', expected as Partial<LibvirtError>));
  });
});

test('a connection cut in the middle of a reply fails every call, typed, and comes back', async () => {
  await withClient(async ({ fake, libvirt, events }) => {
    fake.handle = (frame, peer) => {
      if (!isHostname(frame)) return false;
      peer.socket.end(Buffer.from('00000040200080860000', 'hex'));
      return true;
    };
    const calls = [libvirt.host.hostname(), libvirt.host.type()];
    for (const call of calls) {
      await rejects(call, fails('disconnected', { outcome: 'unknown' }));
    }
    await rejects(libvirt.host.hostname(), fails('disconnected', { outcome: 'not-sent' }));
    await until(() => libvirt.connected);
    assert.equal(
      events.map(({ kind }) => kind),
      ['disconnected', 'connected'],
    );
    fake.handle = (frame, peer) => {
      if (isHostname(frame)) peer.reply(frame, hostnameReply('back'));
      return isHostname(frame);
    };
    assert.is(await libvirt.host.hostname(), 'back');
  });
});

/** What a client must survive; each as what the fake does when asked for the hostname. */
const ODD: Record<string, (frame: Frame, peer: FakePeer) => void> = {
  'a length of zero': (_, peer) => void peer.socket.write(Buffer.alloc(4)),
  'a length of 4 GiB': (_, peer) => void peer.socket.write(Buffer.alloc(4, 0xff)),
  'text instead of frames': (_, peer) => void peer.socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'),
  'a reply to a call nobody made': (frame, peer) => peer.reply({ ...frame, serial: 4711 }),
  'a reply of another procedure': (frame, peer) => peer.reply({ ...frame, procedure: 4 }),
  'a reply of another program': (frame, peer) => peer.reply({ ...frame, program: 0x20008087 }),
  'a result that cannot be read': (frame, peer) => peer.reply(frame, Buffer.from('ff', 'hex')),
  'a result with bytes left over': (frame, peer) =>
    peer.reply(frame, Buffer.concat([hostnameReply('x'), Buffer.alloc(4)])),
  'an error that cannot be read': (frame, peer) =>
    peer.send({ ...frame, type: 'reply', status: 'error', payload: Buffer.alloc(3) }),
  'a call to the client': (frame, peer) => peer.send({ ...frame, type: 'call' }),
  'an event that cannot be read': (_, peer) =>
    peer.send({ procedure: EVENTS.lifecycle.procedure, payload: Buffer.alloc(5) }),
};

for (const [what, act] of Object.entries(ODD)) {
  test(`${what} ends the connection with a typed error and nothing worse`, async () => {
    await withClient(async ({ fake, libvirt, events }) => {
      fake.handle = (frame, peer) => {
        if (isHostname(frame)) act(frame, peer);
        return isHostname(frame);
      };
      await rejects(libvirt.host.hostname(), (error: unknown) => {
        return isLibvirtError(error, 'malformed') || isLibvirtError(error, 'disconnected');
      });
      await until(() => events.some(({ kind }) => kind === 'disconnected'));
      const [first] = events;
      if (first?.kind !== 'disconnected') throw new Error(`first came ${first?.kind}`);
      assert.is(first.error.reason, 'malformed');
      await until(() => libvirt.connected);
    });
  });
}

test('frames for others are skipped: unknown programs, procedures and streams', async () => {
  await withClient(async ({ fake, libvirt }) => {
    fake.handle = (frame, peer) => {
      if (!isHostname(frame)) return false;
      peer.send({ program: 1, procedure: 1 });
      peer.send({ procedure: 9999, payload: Buffer.alloc(7) });
      peer.send({ type: 'stream', serial: 77, status: 'continue', payload: Buffer.alloc(7) });
      peer.reply(frame, hostnameReply('still here'));
      return true;
    };
    assert.is(await libvirt.host.hostname(), 'still here');
  });
});

const lifecycle = struct({ callback: i32, domain, event: i32, detail: i32 });

function startedEvent(): Partial<Frame> {
  const fields = { callback: 3, domain: { name: 'vm', uuid: UUID, id: 1 }, event: 2, detail: 0 };
  return { procedure: EVENTS.lifecycle.procedure, payload: encode(lifecycle, fields) };
}

test('an event that overtakes a reply is delivered, and the reply too', async () => {
  await withClient(async ({ fake, libvirt, events }) => {
    fake.handle = (frame, peer) => {
      if (!isHostname(frame)) return false;
      peer.send(startedEvent());
      peer.reply(frame, hostnameReply('h'));
      return true;
    };
    assert.is(await libvirt.host.hostname(), 'h');
    const expected = { kind: 'lifecycle', event: 'started', detail: 'booted' };
    assert.equal(events, [{ ...expected, domain: { name: 'vm', uuid: UUID, id: 1 } }]);
  });
});

test('a listener that throws is not the connection’s problem', async () => {
  await withClient(async ({ libvirt, peer, events }) => {
    const thrown = new Promise<unknown>((resolve) => process.once('uncaughtException', resolve));
    const stop = libvirt.subscribe(() => {
      throw new Error('a bug of the program');
    });
    peer.send(startedEvent());
    assert.match(String(await thrown), /a bug of the program/);
    stop();
    assert.is(events.length, 1);
    assert.ok(libvirt.connected);
  });
});

test("the daemon's ping is answered with a pong", async () => {
  await withClient(async ({ peer }) => {
    peer.send({ program: KEEPALIVE_PROGRAM, procedure: 1 });
    const isPong = (frame: Frame) => frame.program === KEEPALIVE_PROGRAM && frame.procedure === 2;
    await until(() => peer.received.some(isPong));
    const pong = peer.received.find(isPong);
    assert.equal([pong?.type, pong?.serial, pong?.payload.length], ['message', 0, 0]);
  });
});

test('a daemon that answers no pings is left, its calls fail, and a new connection is made', async () => {
  await withClient(
    async ({ fake, libvirt, events }) => {
      fake.handle = isHostname;
      const call = libvirt.host.hostname();
      await rejects(call, fails('disconnected', { outcome: 'unknown' }));
      await until(() => events.some(({ kind }) => kind === 'connected'));
      const pings = fake.peers[0]?.received.filter(({ program }) => program === KEEPALIVE_PROGRAM);
      assert.is(pings?.length, 2);
    },
    { keepalive: { intervalMs: 20, misses: 2 } },
  );
});

test('a daemon that answers pings but is slow is not left', async () => {
  await withClient(
    async ({ fake, libvirt, events }) => {
      let pings = 0;
      let slow: Frame | undefined;
      fake.handle = (frame, peer) => {
        if (isHostname(frame)) slow = frame;
        if (frame.program !== KEEPALIVE_PROGRAM) return isHostname(frame);
        peer.send({ program: KEEPALIVE_PROGRAM, procedure: 2 });
        if (++pings === 5 && slow) peer.reply(slow, hostnameReply('slow'));
        return true;
      };
      assert.is(await libvirt.host.hostname(), 'slow');
      assert.equal(events, []);
    },
    { keepalive: { intervalMs: 10, misses: 2 } },
  );
});

test('a reconnect registers every event kind again before it says connected', async () => {
  await withClient(async ({ fake, libvirt, events, peer }) => {
    const registered = (of: FakePeer | undefined) =>
      of?.received
        .filter(
          ({ procedure, type }) =>
            type === 'call' &&
            procedure === PROCEDURES.connectDomainEventCallbackRegisterAny.number,
        )
        .map(({ payload }) => payload.readInt32BE(0));
    const wanted = Object.values(EVENTS).map(({ eventId }) => eventId);
    assert.equal(registered(peer), wanted);
    let atConnected: unknown;
    libvirt.subscribe(({ kind }) => {
      if (kind === 'connected') atConnected = registered(fake.peers[1]);
    });
    peer.socket.destroy();
    await until(() => events.some(({ kind }) => kind === 'connected'));
    assert.equal(atConnected, wanted);
  });
});

test('polkit is refused with the way out', async () => {
  const handle: FakeHandler = (frame, peer) => {
    if (frame.procedure !== PROCEDURES.authList.number) return false;
    peer.reply(frame, encode(PROCEDURES.authList.result, { types: [2] }));
    return true;
  };
  const fake = await startFakeLibvirtd(handle);
  try {
    const connecting = connectLibvirt({ socketPath: fake.socketPath });
    await rejects(connecting, (error: unknown) => {
      assert.ok(isLibvirtError(error, 'authentication-required'));
      assert.match(error.message, /polkit.*auth_unix_rw = "none"/);
      return true;
    });
    await until(() => fake.peers[0]?.socket.destroyed === true);
  } finally {
    await fake.close();
  }
});

test('connecting to nothing is unreachable; to a mute peer it ends at the deadline', async () => {
  const nowhere = connectLibvirt({ socketPath: '/nonexistent/libvirt-sock' });
  await rejects(nowhere, fails('unreachable', { outcome: 'not-sent' }));
  const fake = await startFakeLibvirtd(() => true);
  try {
    const { socketPath } = fake;
    const mute = connectLibvirt({ socketPath, connectTimeoutMs: 30 });
    await rejects(mute, fails('deadline'));
    const aborted = connectLibvirt({ socketPath, signal: AbortSignal.timeout(20) });
    await rejects(aborted, fails('aborted'));
    await until(() => fake.peers.every(({ socket }) => socket.destroyed));
  } finally {
    await fake.close();
  }
});

test('close while the daemon is away ends the reconnecting', async () => {
  const fake = await startFakeLibvirtd();
  const libvirt = await connectLibvirt({ socketPath: fake.socketPath });
  await fake.close();
  await until(() => !libvirt.connected);
  await libvirt.close();
  await libvirt.close();
  await rejects(libvirt.host.hostname(), fails('disconnected', { outcome: 'not-sent' }));
  await rejects(libvirt.guest.openConsole({ name: '', uuid: UUID, id: 1 }), fails('disconnected'));
});

test.run();
