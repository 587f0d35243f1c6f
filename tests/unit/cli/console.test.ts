import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { freshBytes } from '../../../src/cli/overlap.ts';
import { PlainText } from '../../../src/cli/plain-text.ts';
import { Telnet, telnetEscaped } from '../../../src/drivers/hypervisor/telnet.ts';
import { waitUntil } from '../../support/wait.ts';
import { FakeApi, run, start } from './fake-api.ts';
import { instanceView } from './views.ts';

const test = suite('cli: console');
const api = await FakeApi.start();
const AT = 'GET /instances/web/consoledata';

test.before.each(() => api.reset());
test.after(() => api.stop());

/** The API's rule: the last `length` bytes, -1 for all. */
function logs(log: { bytes: Buffer }): void {
  api.on(AT, ({ length }) =>
    Number(length) < 0 ? log.bytes : log.bytes.subarray(-Math.max(0, Number(length))),
  );
}

test('a terminal gets the bytes as they are, a pipe plain text, --raw the bytes again', async () => {
  const bytes = Buffer.from('\u001b[1;32mlogin\u001b[0m:\u0007 \u001b]0;title\u0007é\r\n');
  logs({ bytes });
  const terminal = start(api, 'instance console web', { isTTY: true });
  assert.is(await terminal.exitCode, 0);
  assert.equal(terminal.out.bytes, bytes);
  assert.is((await run(api, 'instance console web')).out, 'login: é\n');
  const raw = start(api, 'instance consoledata web --raw');
  await raw.exitCode;
  assert.equal(raw.out.bytes, bytes);
});

test('--length and --all say how much; they exclude each other', async () => {
  logs({ bytes: Buffer.from('0123456789') });
  assert.is((await run(api, 'instance console web --length 4')).out, '6789');
  assert.is((await run(api, 'instance console web --all')).out, '0123456789');
  await run(api, 'instance console web');
  assert.equal(api.bodies(AT), [{ length: 4 }, { length: -1 }, { length: 10240 }]);
  assert.is((await run(api, 'instance console web --all --length 4')).code, 2);
});

test('an empty console says so beside the output', async () => {
  logs({ bytes: Buffer.alloc(0) });
  const { code, out, err } = await run(api, 'instance console web');
  assert.equal({ code, out, err }, { code: 0, out: '', err: 'the console is empty\n' });
});

test('--follow prints only what is new, through an outage and past the window, until Ctrl-C', async () => {
  const log = { bytes: Buffer.from('old\nrecent\n') };
  logs(log);
  const running = start(api, 'instance console web --follow --length 7');
  await running.shows('recent\n');
  let expected = 'recent\n';
  const append = async (text: string) => {
    log.bytes = Buffer.concat([log.bytes, Buffer.from(text)]);
    expected += text;
    await waitUntil('shown', () => running.out.text === expected);
  };
  await append('next\n');
  api.isOut = true;
  await running.shows('trying again', 'err');
  api.isOut = false;
  // Each piece is less than a window, all of them more.
  for (let n = 0; n < 4; n++) await append(`${n}:${'x'.repeat(60_000)}\n`);
  await append('x');
  running.interrupt();
  assert.is(await running.exitCode, 0);
  assert.is(running.out.text, expected);
  assert.not.match(running.err.text, 'cleared');
});

test('--follow says when the log was cleared, and goes on with what is there', async () => {
  const log = { bytes: Buffer.from('a first life of the guest\n') };
  logs(log);
  const running = start(api, 'instance console web --follow');
  await running.shows('first life');
  log.bytes = Buffer.from('a second life\n');
  await running.shows('second life');
  running.interrupt();
  await running.exitCode;
  assert.match(running.err.text, 'the log was cleared');
});

test('an overlap is the longest there is; a few equal bytes are none', () => {
  const fresh = (earlier: string, later: string) => {
    const { items, isGap } = freshBytes(Buffer.from(earlier), Buffer.from(later), 4);
    return `${items.toString()}${isGap ? ' (gap)' : ''}`;
  };
  assert.is(fresh('', 'abc'), 'abc');
  assert.is(fresh('abc', 'abcd'), 'd');
  assert.is(fresh('abcdef', 'cdefgh'), 'gh');
  assert.is(fresh('abcdef', 'abcdef'), '');
  assert.is(fresh('abcdef', 'efgh'), 'efgh (gap)');
  assert.is(fresh('a\n', 'b\n'), 'b\n (gap)');
  assert.is(fresh('abcdef', ''), '');
});

test('plain text survives being cut anywhere', () => {
  const bytes = Buffer.from('a\u001b[1;31mé\u001b[0m\u001b]0;t\u0007\tb\r\n\u001b(Bc');
  for (let cut = 0; cut <= bytes.length; cut++) {
    const plain = new PlainText();
    const text = plain.add(bytes.subarray(0, cut)) + plain.add(bytes.subarray(cut));
    assert.is(text, 'aé\tb\nc', `cut at ${cut}`);
  }
});

const [IAC, DONT, DO, WONT, WILL, SB, SE] = [255, 254, 253, 252, 251, 250, 240];

test('telnet options that make the line transparent are agreed to once, others refused', () => {
  const offers = [WILL, 1, WILL, 3, DO, 0, WILL, 0, DO, 24, WILL, 31, WILL, 1];
  const bytes = [];
  for (let i = 0; i < offers.length; i += 2) bytes.push(IAC, offers[i] ?? 0, offers[i + 1] ?? 0);
  const { text, reply } = new Telnet().receive(Buffer.from(bytes));
  assert.is(text.length, 0);
  const answers = [DO, 1, DO, 3, WILL, 0, DO, 0, WONT, 24, DONT, 31];
  const expected = [];
  for (let i = 0; i < answers.length; i += 2) {
    expected.push(IAC, answers[i] ?? 0, answers[i + 1] ?? 0);
  }
  assert.equal([...reply], expected);
});

test('telnet commands are taken out wherever a chunk ends, and 255 is doubled', () => {
  const bytes = [97, IAC, IAC, IAC, SB, 24, 1, IAC, IAC, 98, IAC, SE, IAC, 241, 99, IAC, DONT, 5];
  for (let cut = 0; cut <= bytes.length; cut++) {
    const telnet = new Telnet();
    const parts = [bytes.slice(0, cut), bytes.slice(cut)];
    const received = parts.map((part) => telnet.receive(Buffer.from(part)));
    const text = Buffer.concat(received.map((one) => one.text));
    assert.equal([...text], [97, 255, 99], `cut at ${cut}`);
  }
  assert.equal([...telnetEscaped(Buffer.from([1, 255, 2]))], [1, 255, 255, 2]);
});

/** A console that greets, and goes away when told to quit. */
function serveConsole(): { readonly got: () => Buffer } {
  let bytes = Buffer.alloc(0);
  api.on('GET /instances/web', () => instanceView({ console_port: 31_001 }));
  api.on('POST /tickets', () => ({ ticket: 't', expires_in: 30, path: '/line?ticket=t' }));
  api.sockets.set('/line', (socket) => {
    socket.send(Buffer.from('\u001b[32mlogin: '));
    socket.on('message', (chunk) => {
      bytes = Buffer.concat([bytes, chunk as Buffer]);
      if (!(chunk as Buffer).includes('q')) return;
      socket.send(Buffer.from('bye\n'));
      socket.close(4010, 'the instance is off');
    });
  });
  return { got: () => bytes };
}

test('--attach carries bytes both ways in raw mode, and Ctrl-] ends it', async () => {
  const { got } = serveConsole();
  const running = start(api, 'instance console web --attach', { isTTY: true });
  await running.shows('\u001b[32mlogin: ');
  running.stdin.write(Buffer.from([0x03, 0xff]));
  running.stdin.write('root\r\u001dnot this');
  assert.is(await running.exitCode, 0);
  await waitUntil('sent', () => got().includes('root\r'));
  assert.equal(got(), Buffer.from([0x03, 0xff, ...Buffer.from('root\r')]));
  assert.equal(running.stdin.modes, [true, false]);
  const { uuid } = instanceView({});
  assert.equal(api.bodies('POST /tickets'), [{ purpose: 'console', instance: uuid }]);
  assert.match(running.err.text, 'attached to web; Ctrl-] ends it');
  assert.match(running.err.text, 'detached');
});

test('--attach ends with the guest, after piped input with its answer, and on a signal', async () => {
  serveConsole();
  const words = 'instance console web --attach';
  const closed = start(api, words, { isTTY: true });
  closed.stdin.write('q');
  assert.is(await closed.exitCode, 0);
  assert.match(closed.out.text, 'bye');
  assert.match(closed.err.text, 'detached: the instance is off');
  assert.equal(closed.stdin.modes, [true, false]);
  const piped = start(api, words);
  piped.stdin.end('hello\u001d');
  assert.is(await piped.exitCode, 0);
  assert.match(piped.out.text, 'login: ');
  assert.equal(piped.stdin.modes, []);
  const signalled = start(api, words, { isTTY: true });
  await signalled.shows('login: ');
  signalled.interrupt();
  assert.is(await signalled.exitCode, 0);
  assert.equal(signalled.stdin.modes, [true, false]);
});

test('--attach to a console that is lost, and to none, fails with the reason', async () => {
  serveConsole();
  api.sockets.set('/line', (socket) => socket.close(1013, 'node n2 cannot be reached'));
  const lost = await run(api, 'instance console web --attach');
  assert.is(lost.code, 1);
  assert.match(lost.err, 'the console of web was lost: node n2 cannot be reached');
  api.on('GET /instances/web', () => instanceView({ console_port: null, power_state: 'off' }));
  const none = await run(api, 'instance console web --attach');
  assert.is(none.code, 1);
  assert.match(none.err, 'web has no console to attach to (created, power off)');
});

test.run();
