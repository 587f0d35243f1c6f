// The typed client against the real API, by both of its ways to send requests; fail-over between two nodes' servers.
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createServer, type Server } from 'node:http';
import {
  connect as connectTcp,
  createServer as createTcpServer,
  type AddressInfo,
  type Socket,
} from 'node:net';
import { randomBytes } from 'node:crypto';
import { lastValueFrom } from 'rxjs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { connect as connectBrowser } from '../../../src/client/browser.ts';
import {
  BadRequestError,
  ConflictError,
  connect,
  NotFoundError,
  NotReadyError,
  ObjectFailedError,
  StreamError,
  UnauthenticatedError,
  UnavailableError,
  WaitTimeoutError,
  type Network,
  type StreamItem,
  type Troupe,
} from '../../../src/client/index.ts';
import { firstInstance } from '../../../src/client/examples/first-instance.ts';
import { messagesUntil } from '../../../src/client/examples/follow-events.ts';
import { uploadImage } from '../../../src/client/examples/upload.ts';
import { openApiWorld, refusedByMachine, SECRETS, type ApiWorld } from '../../support/api-world.ts';
import { waitUntil } from '../../support/wait.ts';

const test = suite('api: typed client');
let world: ApiWorld;
let url: string;
test.before(async () => {
  world = await openApiWorld();
  url = `http://127.0.0.1:${world.port}`;
});
test.after(() => world.close());

const login = { namespace: 'lab', key: SECRETS.lab, pauseMs: 1 };
const quick = { pollMs: 5, timeoutMs: 10_000 };

const WAYS: readonly (readonly [string, () => Troupe])[] = [
  ['node', () => connect({ ...login, urls: url })],
  ['fetch', () => connectBrowser({ ...login, urls: `${url}/` })],
];
for (const [name, make] of WAYS) {
  test(`${name}: a network, an instance, its verbs, its end`, async () => {
    const troupe = make();
    const front = await troupe.networks.create({ netblock: '10.20.0.0/24', name: `front-${name}` });
    await front.waitUntil('created', quick);
    const vm = await troupe.instances.create({
      name: `web-${name}`,
      cpus: 1,
      memory: 128,
      disk: [{ size: 1 }],
      network: [{ network_uuid: front.id }],
    });
    await vm.waitUntil('created', quick);
    assert.is((await vm.powerOff()).view.power_state, 'off');
    assert.is((await vm.powerOn()).view.power_state, 'on');
    const { vda } = await vm.snapshot({ all: true });
    const isMade = async () =>
      (await vm.snapshots()).some((one) => one.blob_uuid === vda?.blob_uuid);
    await waitUntil('its snapshot', isMade);
    const nic = await vm.plug({ network_uuid: front.id });
    assert.is(nic.order, 1);
    assert.is((await vm.interfaces()).length, 2);
    const floated = await (await troupe.interface(nic.uuid)).float();
    assert.match(floated.view.floating ?? '', /^192\.0\.2\./);
    await vm.metadata.set('owner', { team: 'a/b' });
    assert.equal(await vm.metadata.all(), { owner: { team: 'a/b' } });
    await vm.metadata.remove('owner');
    assert.equal(await vm.metadata.all(), {});
    const [newest] = await vm.pastEvents({ limit: 1 });
    assert.type(newest?.message, 'string');
    assert.ok((await troupe.instances.list()).some(({ id }) => id === vm.id));
    assert.is((await troupe.instances.get(`web-${name}`)).id, vm.id);
    await (await vm.delete()).waitUntil('deleted', quick);
    await (await front.delete()).waitUntil('deleted', quick);
    assert.ok((await troupe.instances.list({ all: true })).some(({ id }) => id === vm.id));
  });

  test(`${name}: bytes go up and come down`, async () => {
    const bytes = randomBytes(1_000_000);
    const progress: number[] = [];
    const upload = make().artifacts.upload(`bytes-${name}`, bytes, {
      onProgress: (done) => progress.push(done),
    });
    const artifact = await upload;
    assert.ok(Buffer.from(await artifact.download()).equals(bytes));
    assert.is(progress.at(-1), bytes.length);
    const blob = await artifact.blob();
    const part = await blob.download({ offset: 10, limit: 20 });
    assert.ok(Buffer.from(part).equals(bytes.subarray(10, 30)));
    const pieces: Uint8Array[] = [];
    for await (const piece of blob.pieces({ offset: 1 })) pieces.push(piece);
    assert.ok(Buffer.concat(pieces).equals(bytes.subarray(1)));
    await blob.metadata.set('seen', true);
    assert.equal((await blob.refresh()).view.metadata, { seen: true });
    await artifact.delete();
  });

  test(`${name}: labels, versions, and what is there already`, async () => {
    const troupe = make();
    const first = await troupe.artifacts.upload(`one-${name}`, randomBytes(100), { type: 'other' });
    assert.is(first.view.artifact_type, 'other');
    const blob = await first.blob();
    const found = await troupe.blobs.find('sha512', blob.view.sha512 ?? '');
    assert.is(found?.id, blob.id);
    assert.is(await troupe.blobs.find('sha512', '0'.repeat(128)), null);
    const again = await troupe.artifacts.fromBlob(`two-${name}`, blob.id, {
      sourceUrl: `x:${name}`,
    });
    assert.equal([again.view.blob_uuid, again.view.source_url], [blob.id, `x:${name}`]);
    const label = await troupe.labels.set(`golden-${name}`, blob.id, { maxVersions: 2 });
    assert.is((await troupe.labels.get(`lab/golden-${name}`)).id, label.id);
    assert.is(label.view.max_versions, 2);
    await troupe.labels.set(`lab/golden-${name}`, (await again.blob()).id);
    assert.equal(
      (await label.versions()).map(({ index, uuid }) => [index, uuid]),
      [[1, blob.id]],
    );
    await troupe.labels.delete(`golden-${name}`);
    const gone = await troupe.labels.get(`golden-${name}`).catch((error: unknown) => error);
    assert.ok(gone instanceof NotFoundError);
    const hash = `sha256:${'a'.repeat(64)}`;
    const pinned = await troupe.artifacts.cache(`http://images.test/${name}`, { checksum: hash });
    assert.match(pinned.view.source_url, /#sha256=a{64}$/);
    assert.ok((await troupe.artifacts.deleteAll()).includes(pinned.id));
  });

  test(`${name}: what goes wrong is a class`, async () => {
    const troupe = make();
    const missing = await troupe.instances.get('nowhere').catch((error: unknown) => error);
    assert.ok(missing instanceof NotFoundError);
    assert.equal(
      [missing.status, missing.message, missing.request],
      [404, 'instance not found', 'GET /instances/nowhere'],
    );
    assert.match(missing.requestId, /^[0-9a-f-]{36}$/);
    const bad = await troupe.networks.create({ netblock: 'x' }).catch((error: unknown) => error);
    assert.ok(bad instanceof BadRequestError);
  });
}

test('an object that fails while it is waited for says why; a wait ends in time', async () => {
  const troupe = connect({ ...login, urls: url });
  world.machine.before = (resource) => {
    if (resource === 'domain') throw refusedByMachine('no such CPU');
  };
  const vm = await troupe.instances.create({
    name: 'fails',
    cpus: 1,
    memory: 1,
    disk: [{ size: 1 }],
  });
  const failed = await vm.waitUntil('created', quick).catch((error: unknown) => error);
  world.machine.before = () => undefined;
  assert.ok(failed instanceof ObjectFailedError);
  assert.match(failed.message, 'no such CPU');
  const refused = await vm.plug({ network_uuid: 'nowhere' }).catch((error: unknown) => error);
  assert.ok(refused instanceof NotReadyError || refused instanceof NotFoundError);
  const late = await vm.waitUntil('created', { timeoutMs: 0 }).catch((error: unknown) => error);
  assert.ok(late instanceof ObjectFailedError || late instanceof WaitTimeoutError);
  await vm.delete();
});

test('a wrong key is refused; a token that has run out is renewed unseen', async () => {
  const wrong = connect({ ...login, key: 'wrong', urls: url });
  const refused = await wrong.instances.list().catch((error: unknown) => error);
  assert.ok(refused instanceof UnauthenticatedError);
  const troupe = connect({ ...login, urls: url });
  await troupe.instances.list();
  world.clock.shiftMs += 3_600_000;
  assert.ok(Array.isArray(await troupe.instances.list()));
});

/** A node in front of the world that fails as told. */
async function node(
  behave: (asked: string, pass: () => void, cut: () => void) => void,
): Promise<{ server: Server; url: string; asked: string[] }> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const at = `${request.method} ${request.url}`;
    asked.push(at);
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const pass = () => {
        const { authorization, 'idempotency-key': key } = request.headers;
        const headers = {
          ...(authorization === undefined ? {} : { Authorization: authorization }),
          ...(typeof key === 'string' ? { 'Idempotency-Key': key } : {}),
        };
        const raw = Buffer.concat(chunks);
        void world
          .call(request.method ?? 'GET', request.url ?? '/', { as: null, headers, raw })
          .then((reply) => response.writeHead(reply.status).end(reply.text));
      };
      behave(at, pass, () => request.socket.destroy());
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

test('a node that is gone is passed over, and so is one that cannot decide now', async () => {
  const busy = await node((_at, _pass, cut) => cut());
  const troupe = connect({ ...login, urls: ['http://127.0.0.1:1', busy.url, url] });
  assert.ok(Array.isArray(await troupe.instances.list()));
  busy.server.close();
});

test('a create whose answer is lost is sent again, and makes one network', async () => {
  let cuts = 2;
  const flaky = await node((at, pass, cut) => {
    if (at !== 'POST /networks' || cuts === 0) return pass();
    // It is done, and nobody hears of it.
    cuts--;
    pass();
    return setTimeout(cut, 0) && undefined;
  });
  const troupe = connect({ ...login, urls: [flaky.url] });
  await troupe.networks.create({ netblock: '10.60.0.0/24', name: 'only-one' });
  const made = (await troupe.networks.list()).filter(({ view }) => view.name === 'only-one');
  assert.is(made.length, 1);
  flaky.server.close();
});

test('what is not safe to send twice is not, unless it cannot have arrived', async () => {
  const broken = await node((at, pass, cut) => (at.startsWith('DELETE') ? cut() : pass()));
  const troupe = connect({ ...login, urls: [broken.url, url] });
  const network = await troupe.networks.create({ netblock: '10.61.0.0/24' });
  await network.waitUntil('created', quick);
  const lost = await network.delete().catch((error: unknown) => error);
  assert.ok(lost instanceof UnavailableError);
  assert.is(broken.asked.filter((at) => at.startsWith('DELETE')).length, 1);
  broken.server.close();
  assert.is((await network.delete()).id, network.id);
});

/** Passes connections on to the API until it is cut. */
async function wire(): Promise<{ url: string; cut: () => void }> {
  const open = new Set<Socket>();
  const server = createTcpServer((client) => {
    const api = connectTcp(world.port, '127.0.0.1');
    for (const one of [client, api]) {
      open.add(one);
      one.on('error', () => one.destroy());
      one.on('close', () => open.delete(one));
    }
    client.pipe(api);
    api.pipe(client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = () => {
    server.close();
    for (const one of open) one.destroy();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, cut };
}

for (const [name, make] of [
  ['node', connect],
  ['fetch', connectBrowser],
] as const) {
  test(`${name}: events come once and in order, also when the node that tells of them is lost`, async () => {
    const first = await wire();
    const troupe = make({ ...login, urls: [first.url, url] });
    const items: StreamItem[] = [];
    const reading = troupe.events({ kind: 'network' }).subscribe((item) => items.push(item));
    await waitUntil('it is live', () => items.some(({ what }) => what === 'live'));
    const direct = connect({ ...login, urls: url });
    const before = await direct.networks.create({ netblock: '10.70.0.0/24' });
    await before.waitUntil('created', quick);
    await waitUntil('news', () => items.some((one) => one.what === 'event'));
    first.cut();
    const after = await direct.networks.create({ netblock: '10.71.0.0/24' });
    await after.waitUntil('created', quick);
    const seen = (id: string) =>
      items.flatMap((one) => (one.what === 'event' && one.id === id ? [one] : []));
    const told = async (network: Network) => (await network.pastEvents({ limit: -1 })).length;
    for (const network of [before, after]) {
      await waitUntil('all is told', async () => seen(network.id).length === (await told(network)));
    }
    assert.ok(items.some(({ what }) => what === 'lost'));
    const revisions = items.flatMap((one) => (one.what === 'event' ? [one.revision] : []));
    assert.equal(
      revisions,
      revisions.toSorted((a, b) => a - b),
    );
    reading.unsubscribe();
    await waitUntil('nothing is left open', () => world.sockets.size === 0);
  });
}

test('a stream of what may not be seen is an error, and is not tried again', async () => {
  const troupe = connect({ ...login, urls: url });
  const ended = await lastValueFrom(troupe.events({ namespace: 'other' })).catch(
    (error: unknown) => error,
  );
  assert.ok(ended instanceof StreamError);
  assert.is(ended.code, 4003);
  await waitUntil('nothing is left open', () => world.sockets.size === 0);
});

test('a conflict is one', async () => {
  const troupe = connect({ ...login, urls: url });
  const network = await troupe.networks.create({ netblock: '10.62.0.0/24' });
  await network.waitUntil('created', quick);
  const body = { name: 'taken', cpus: 1, memory: 1, disk: [{ size: 1 }] };
  const address = { network_uuid: network.id, address: '10.62.0.1' };
  const taken = await troupe.instances
    .create({ ...body, network: [address] })
    .catch((error: unknown) => error);
  assert.ok(taken instanceof ConflictError);
});

test('the examples do what they say', async () => {
  const troupe = connect({ ...login, urls: url });
  assert.match(await firstInstance(troupe), /^10\.20\.0\.\d+$/);
  const path = join(mkdtempSync(join(tmpdir(), 'troupe-client-')), 'image');
  writeFileSync(path, randomBytes(5_000_000));
  const said: string[] = [];
  const image = await uploadImage(troupe, path, (text) => said.push(text));
  rmSync(dirname(path), { recursive: true });
  assert.is(said.at(-1), '5000000 bytes sent');
  assert.is(image.state, 'created');
  const vm = await troupe.instances.create({
    name: 'told',
    cpus: 1,
    memory: 1,
    disk: [{ size: 1 }],
  });
  await vm.waitUntil('created', quick);
  const messages = (await vm.pastEvents({ limit: -1 })).map(({ message }) => message).toReversed();
  assert.equal(await messagesUntil(vm, messages.at(-1) ?? ''), messages);
});

test.run();
