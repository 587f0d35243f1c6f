// Events followed over the stream.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { WebSocket } from 'ws';
import { waitUntil } from '../../support/wait.ts';
import { FakeApi, run, start } from './fake-api.ts';
import { event } from './views.ts';

const test = suite('cli: follow');
const api = await FakeApi.start();

test.before.each(() => api.reset());
test.after(() => api.stop());

/** A stream that tells these events, then what is added, from where the client says. */
function serveStream(events: object[]): { readonly asked: object[]; add(one: object): void } {
  const asked: object[] = [];
  const sockets = new Set<WebSocket>();
  const tell = (socket: WebSocket, from: number) => {
    const items = events
      .slice(from)
      .map((one) => ({ what: 'event', kind: 'network', id: 'n-1', namespace: 'lab', event: one }));
    const frame = { frame: 'items', resume: String(events.length), items };
    socket.send(JSON.stringify(frame));
  };
  api.on('GET /networks/front', () => ({ uuid: 'n-1' }));
  api.on('GET /artifacts/debian', () => ({ uuid: 'a-1' }));
  api.on('POST /tickets', () => ({ ticket: 't', expires_in: 30, path: '/stream?ticket=t' }));
  api.sockets.set('/stream', (socket) => {
    socket.on('message', (first) => {
      const wish = JSON.parse((first as Buffer).toString()) as { readonly after?: unknown };
      asked.push(wish);
      tell(socket, Number(wish.after ?? events.length));
      socket.send(JSON.stringify({ frame: 'live', resume: String(events.length) }));
      sockets.add(socket);
    });
  });
  return {
    asked,
    add: (one) => {
      events.push(one);
      for (const socket of sockets) tell(socket, events.length - 1);
    },
  };
}

test('--follow shows the newest, then what comes, each once through a lost connection', async () => {
  const stream = serveStream([event('a', 1), event('b', 2), event('c', 3)]);
  const running = start(api, 'network events front --follow -l 2 -t audit');
  await running.shows('c');
  stream.add(event('fourth', 4));
  await running.shows('fourth');
  for (const socket of api.open) socket.terminate();
  await running.shows('trying again', 'err');
  await waitUntil('it is back', () => stream.asked.length === 2);
  stream.add(event('fifth', 5));
  await running.shows('fifth');
  running.interrupt();
  assert.is(await running.exitCode, 0);
  assert.equal(stream.asked, [
    { kind: 'network', id: 'n-1', after: 0, types: ['audit'] },
    { kind: 'network', id: 'n-1', after: '4', types: ['audit'] },
  ]);
  const shown = running.out.text.split('\n').slice(1, -1);
  assert.equal(
    shown.map((line) => / n1 +- +(\w+)/.exec(line)?.[1]),
    ['b', 'c', 'fourth', 'fifth'],
  );
});

test('--follow --json of an artifact prints one event a line, the newest --limit at first', async () => {
  const events = [event('a', 1), event('b', 2), event('c', 3)];
  const stream = serveStream(events);
  const running = start(api, 'artifact events debian -f --json -l 2');
  await running.shows('"c"');
  stream.add(event('d', 4));
  await running.shows('"d"');
  running.interrupt();
  await running.exitCode;
  assert.equal(stream.asked, [{ kind: 'artifact', id: 'a-1', after: 0 }]);
  const lines = running.out.text.trimEnd().split('\n');
  assert.equal(
    lines.map((line) => JSON.parse(line) as object),
    events.slice(1),
  );
});

test('event follow shows what happens with its object; a refusal ends it', async () => {
  const stream = serveStream([event('old', 1)]);
  const running = start(api, 'event follow --kind network --json');
  await waitUntil('it has asked', () => stream.asked.length === 1);
  assert.equal(stream.asked, [{ kind: 'network' }]);
  stream.add(event('new', 2));
  await running.shows('network n-1: new');
  running.interrupt();
  assert.is(await running.exitCode, 0);
  assert.not.match(running.out.text, 'old');
  api.sockets.set('/stream', (socket) => socket.close(4003, 'namespace not found'));
  const refused = await run(api, 'event follow --of elsewhere');
  assert.is(refused.code, 1);
  assert.match(refused.err, 'namespace not found');
});

test.run();
