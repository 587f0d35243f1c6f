// sf-agent over a real Unix socket, against a fake of the published agent.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { AgentSeen } from '../../../../actors/instance/state.ts';
import { codeOf } from '../../../../actors/kernel/errors.ts';
import { SfAgent } from '../../../../src/drivers/guest/sf-agent.ts';
import { FakeSfAgent } from '../../../support/fake-sf-agent.ts';
import { waitUntil } from '../../../support/wait.ts';
import { VirtualClock } from '../../../sim/cluster/virtual-clock.ts';

const test = suite('sf-agent');

const never = new AbortController().signal;
const folder = mkdtempSync(join(tmpdir(), 'troupe-sf-agent-'));
let number = 0;

test.after(() => rmSync(folder, { recursive: true }));

/** Both ends, and what the server saw. */
async function pair() {
  const path = join(folder, String(number++));
  const guest = new FakeSfAgent(path);
  const clock = new VirtualClock();
  const states: AgentSeen[] = [];
  const ends: string[] = [];
  const agent = new SfAgent({
    socket: connect(path),
    clock,
    onSeen: (seen) => states.push(seen),
    onEnd: (reason) => ends.push(reason),
  });
  await waitUntil('a connection', () => guest.isConnected);
  const close = async () => {
    agent.end('the test is over');
    await guest.close();
  };
  return { guest, clock, agent, states, ends, close };
}

async function read(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

async function* pieces(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const hasCode = (code: string) => (error: unknown) => codeOf(error) === code;

test('it is asked at once, and what it says becomes its state', async () => {
  const { guest, states, close } = await pair();
  await waitUntil('ready', () => states.at(-1)?.state === 'ready');
  assert.is(states.at(-1)?.bootedAtMs, 1_726_000_171_000);
  guest.start();
  await waitUntil('its start, and ready again', () => states.length >= 3);
  assert.is(states[1]?.state, 'not ready (agent startup)');
  guest.send({ command: 'agent-stop' });
  await waitUntil('its stop', () => states.at(-1)?.state === 'not ready (agent stopped)');
  await close();
});

test("the guest's service manager says how ready it is, and an agent too old is not", async () => {
  const rows = [
    [{ result: false, message: 'starting' }, 'not ready (starting)'],
    [{ result: false, message: 'degraded' }, 'ready (degraded)'],
    [{ result: false, message: 'x"; drop\n' }, 'not ready (unknown)'],
  ] as const;
  for (const [system, state] of rows) {
    const { guest, states, close } = await pair();
    guest.system = { ...system };
    guest.start();
    await waitUntil(state, () => states.at(-1)?.state === state);
    await close();
  }
  const { guest, states, close } = await pair();
  guest.start('0.3.15');
  await waitUntil('too old', () => states.at(-1)?.state === 'not ready (agent too old)');
  await close();
});

test('execute gives exit code and output', async () => {
  const { agent, guest, close } = await pair();
  const { returnCode, stdout } = await agent.execute('exit 7', never);
  assert.equal([returnCode, Buffer.from(stdout).toString()], [7, 'ran exit 7']);
  const sent = guest.heard.find(({ command }) => command === 'execute');
  assert.is(sent?.['block-for-result'], true);
  await close();
});

test('files come and go as they are, also large ones', async () => {
  const { agent, guest, close } = await pair();
  const bytes = randomBytes(6_000_001);
  guest.files.set('/big', bytes);
  const { stat, chunks } = await agent.readFile('/big', never);
  assert.is(stat.size, bytes.length);
  assert.ok((await read(chunks)).equals(bytes));
  await agent.writeFile('/new', pieces(bytes, 700_000), never);
  assert.ok(guest.files.get('/new')?.equals(bytes));
  await agent.writeFile('/empty', pieces(Buffer.alloc(0), 1), never);
  assert.is(guest.files.get('/empty')?.length, 0);
  await agent.changeMode('/new', 'u+x', never);
  assert.is(guest.modes.get('/new'), 'u+x');
  await rejects(agent.readFile('/none', never), hasCode('guest/refused'));
  await close();
});

test('a channel that breaks ends every request; what comes later is refused at once', async () => {
  const { agent, guest, ends, close } = await pair();
  const running = agent.execute('hang', never);
  await waitUntil('it runs', () => guest.heard.some(({ command }) => command === 'execute'));
  guest.hangUp();
  await rejects(running, hasCode('guest/lost'));
  await rejects(agent.execute('true', never), hasCode('guest/lost'));
  assert.is(ends.length, 1);
  await close();
});

test('a request that is called off ends, and its late answer is dropped', async () => {
  const { agent, guest, close } = await pair();
  const abort = new AbortController();
  const running = agent.execute('hang', abort.signal);
  await waitUntil('it runs', () => guest.heard.some(({ command }) => command === 'execute'));
  abort.abort();
  await rejects(running, hasCode('actor/stopped'));
  const asked = guest.heard.find(({ command }) => command === 'execute');
  guest.send({ command: 'execute-response', unique: asked?.['unique'], 'return-code': 0 });
  assert.is((await agent.execute('true', never)).returnCode, 0);
  await close();
});

test('one that is silent is pinged, and given up after fifteen seconds', async () => {
  const { guest, clock, ends, close } = await pair();
  await waitUntil('it is asked', () => guest.heard.length > 0);
  guest.isMute = true;
  await clock.advance(14_000);
  assert.equal(ends, []);
  await waitUntil('a ping', () => guest.heard.some(({ command }) => command === 'ping'));
  await clock.advance(10_000);
  assert.equal(ends, ['it was silent for 15 s']);
  await close();
});

test('one that works for us may be silent for longer, but not for ever', async () => {
  const { agent, guest, clock, ends, close } = await pair();
  await waitUntil('it is asked', () => guest.heard.length > 0);
  guest.isMute = true;
  const running = agent.execute('hang', never);
  await clock.advance(60_000);
  assert.equal(ends, []);
  const lost = rejects(running, hasCode('guest/lost'));
  await clock.advance(600_000);
  await lost;
  await close();
});

test.run();
