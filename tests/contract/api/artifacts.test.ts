// Artifact routes (contract: artifacts 2, 4, 5.1 and 7).
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { ImageCache } from '../../../src/api/artifacts/image-cache.ts';
import {
  NODE,
  openApiWorld,
  type ApiWorld,
  type Tenant,
  type View,
} from '../../support/api-world.ts';
import { blobRef } from '../../../actors/blob/state.ts';
import { StreamReader } from '../../support/stream-reader.ts';
import { waitUntil } from '../../support/wait.ts';

const test = suite('api: artifacts');
let world: ApiWorld;
test.before(async () => {
  world = await openApiWorld();
});
test.after(() => world.close());

let serial = 0;
function url(): string {
  return `http://images.test/x/image-${serial++}.qcow2`;
}

async function cached(body: View, as: Tenant = 'lab'): Promise<View> {
  const { uuid } = await world.ok('POST', '/artifacts', { as, body });
  return world.settled(`/artifacts/${String(uuid)}`, 'created', as);
}

async function listed(as: Tenant, body: object = {}): Promise<unknown[]> {
  return (await world.ok<View[]>('GET', '/artifacts', { as, body })).map((view) => view['uuid']);
}

test('the view has all members of the contract, before and after its first version', async () => {
  const [source, fetched] = [url(), Promise.withResolvers<void>()];
  world.machine.before = (resource) => (resource === 'replica' ? fetched.promise : undefined);
  const view = await world.ok('POST', '/artifacts', {
    body: { url: source, shared: false, namespace: null },
  });
  world.machine.before = () => undefined;
  const common = {
    uuid: view['uuid'],
    metadata: {},
    version: 6,
    artifact_type: 'image',
    source_url: source,
    max_versions: 3,
    namespace: 'lab',
    shared: false,
  };
  assert.equal(view, { ...common, state: 'initial', index: 0, blobs: {} });
  fetched.resolve();
  const done = await world.settled(`/artifacts/${String(view['uuid'])}`, 'created');
  const { blob_uuid: blob } = done;
  const summary = { uuid: blob, size: 4096, reference_count: 1, depends_on: null, instances: [] };
  assert.equal(done, {
    ...common,
    state: 'created',
    index: 1,
    blob_uuid: blob,
    blobs: { 1: summary },
  });
});

test('an artifact asks for a number of copies of its own, from 1 to 16', async () => {
  const { uuid } = await cached({ url: url() });
  const path = `/artifacts/${String(uuid)}/copies`;
  const shown = () => world.ok('GET', `/artifacts/${String(uuid)}`);
  for (const copies of [3, 16, null]) {
    assert.is(await world.ok('POST', path, { body: { copies } }), null);
    // One that asks for none looks as it does to clients that know of no such number.
    assert.is((await shown())['copies'], copies ?? undefined);
  }
  for (const copies of [0, -1, 17, 'many', 1.5]) {
    const { status } = await world.call('POST', path, { body: { copies } });
    assert.is(status, 400, String(copies));
  }
});

test('only the answer about one artifact says which instances use its blobs', async () => {
  const source = url();
  const { uuid } = await cached({ url: source });
  const instance = await world.instance({ disk: [{ base: source }] });
  await world.settled(`/instances/${String(instance['uuid'])}`, 'created');
  const blobOf = (view: View = {}) => (view['blobs'] as Record<string, View>)['1'];
  const shown = blobOf(await world.ok('GET', `/artifacts/${String(uuid)}`));
  assert.equal(shown?.['instances'], [instance['uuid']]);
  assert.is(shown?.['reference_count'], 2);
  const inList = (await world.ok<View[]>('GET', '/artifacts')).find((one) => one['uuid'] === uuid);
  assert.not.ok('instances' in (blobOf(inList) ?? {}));
});

test('is found by the last part of its URL', async () => {
  const { uuid } = await cached({ url: 'http://images.test/deep/latest.qcow2' });
  assert.is((await world.ok('GET', '/artifacts/latest.qcow2'))['uuid'], uuid);
  await cached({ url: 'http://other.test/latest.qcow2' });
  const error = 'multiple artifacts have the name "latest.qcow2" in namespace "lab"';
  assert.equal((await world.call('GET', '/artifacts/latest.qcow2')).json, { error, status: 400 });
});

test('the checks of a cache request, in their order', async () => {
  const error = async (body: object) => {
    const { status, json } = await world.call('POST', '/artifacts', { body });
    return [status, (json as View)['error']];
  };
  assert.equal(await error({ namespace: 'nowhere', shared: true }), [404, 'namespace not found']);
  assert.equal(await error({ namespace: 'other', shared: true }), [404, 'namespace not found']);
  assert.equal(await error({ shared: true }), [
    403,
    'only the system namespace can create shared artifacts',
  ]);
  assert.equal(await error({}), [400, "url is missing: give the image's address"]);
  for (const bad of [
    'ftp://x/y',
    'file:///etc/passwd',
    'http://[',
    'x',
    `http://h/${'x'.repeat(5000)}`,
  ]) {
    assert.is((await error({ url: bad }))[0], 400, bad.slice(0, 40));
  }
});

test('an image that is used again is asked for at its source first; a newer one is a version', async () => {
  const source = url();
  const { uuid } = await cached({ url: source });
  const asked = () => world.machine.files.checked.filter((one) => one === source).length;
  const newest = async () => (await world.ok('GET', `/artifacts/${String(uuid)}`))['index'];
  const start = async () => {
    const { uuid: id } = await world.instance({ disk: [{ base: source }] });
    const { disks } = await world.settled(`/instances/${String(id)}`, 'created');
    return (disks as View[])[0]?.['blob_uuid'];
  };
  const old = await start();
  assert.equal([asked(), await newest()], [1, 1]);
  world.machine.files.verdict = { verdict: 'unknown', reason: 'the server answers 503' };
  assert.is(await start(), old);
  world.machine.files.verdict = { verdict: 'changed', what: 'ETag', before: 'a', now: 'b' };
  world.machine.content = 'cd'.repeat(64);
  const fresh = await start();
  world.machine.content = null;
  world.machine.files.verdict = { verdict: 'same' };
  assert.is.not(fresh, old);
  assert.equal([asked(), await newest()], [3, 2]);
  await world.ok('POST', '/artifacts', { body: { url: source } });
  await waitUntil('the source to be asked', () => asked() === 4, 5_000);
  const events = await world.ok<View[]>('GET', `/artifacts/${String(uuid)}/events`);
  const said = events.map(({ message }) => message);
  for (const message of [
    'image requires fetch, ETag changed',
    'updating image failed, using already cached version',
  ])
    assert.ok(said.includes(message), message);
});

test('what two tenants fetch that is the same is one blob, for as long as one of them has it', async () => {
  world.machine.content = 'ef'.repeat(64);
  const mine = await cached({ url: url() });
  const theirs = await cached({ url: url() }, 'other');
  world.machine.content = null;
  const blobOf = async (uuid: unknown, as: 'lab' | 'other') =>
    String((await world.settled(`/artifacts/${String(uuid)}`, 'created', as))['blob_uuid']);
  const blob = await blobOf(mine['uuid'], 'lab');
  assert.is(await blobOf(theirs['uuid'], 'other'), blob);
  assert.is((await world.ok('GET', `/blobs/${blob}`))['reference_count'], 2);
  await world.ok('DELETE', `/artifacts/${String(mine['uuid'])}`);
  const isOne = async () => (await world.ok('GET', `/blobs/${blob}`))['reference_count'] === 1;
  await waitUntil('one reference', isOne, 5_000);
  assert.is((await world.ok('GET', `/blobs/${blob}`))['state'], 'created');
});

test('two tenants that name one address share what comes, and learn nothing of each other', async () => {
  const source = url();
  const mine = await cached({ url: source });
  await world.settled(`/artifacts/${String(mine['uuid'])}`, 'created');
  const vm = await world.instance({ disk: [{ base: source }] });
  await world.settled(`/instances/${String(vm['uuid'])}`, 'created');
  const story = await world.ok<{ extra: View }[]>(
    'GET',
    `/artifacts/${String(mine['uuid'])}/events`,
  );
  const requests = story.flatMap(({ extra }) => extra['request-id'] ?? []);
  assert.ok(requests.length > 2, 'its own, and those of its blob that followed from them');
  const { uuid } = await cached({ url: source }, 'other');
  const path = `/artifacts/${String(uuid)}`;
  const theirs = await world.settled(path, 'created', 'other');
  const blob = String(theirs['blob_uuid']);
  assert.is(blob, (await world.ok('GET', `/artifacts/${String(mine['uuid'])}`))['blob_uuid']);
  assert.ok(world.machine.files.checked.includes(source), 'asked again');
  const as = { as: 'other' } as const;
  const shown = [
    await world.ok('GET', path, as),
    await world.ok('GET', `${path}/versions`, as),
    await world.ok('GET', `${path}/events`, as),
    await world.ok('GET', `/blobs/${blob}`, as),
    await world.ok('GET', `/blobs/${blob}/events`, as),
  ];
  const text = JSON.stringify(shown);
  assert.match(text, /no download of its own/);
  assert.match(text, /fetch started/, 'the story of what they share');
  for (const secret of [mine['uuid'], vm['uuid'], 'lab', ...requests])
    assert.not(text.includes(String(secret)), `${String(secret)} in ${text}`);
  const own = await world.ok('GET', `/blobs/${blob}`);
  assert.equal(own['instances'], [vm['uuid']], 'whose it is sees it');
});

test('a file of the node is looked at again when it is used again; one that was written anew is a version', async () => {
  const source = 'file:///srv/again.qcow2';
  const { uuid } = await cached({ url: source }, 'system');
  const path = `/artifacts/${String(uuid)}`;
  const again = () => world.ok('POST', '/artifacts', { as: 'system', body: { url: source } });
  const asked = () =>
    world.machine.files.checked.filter((one) => one === '/srv/again.qcow2').length;
  await again();
  await waitUntil('the file to be looked at', () => asked() === 1, 5_000);
  assert.is((await world.ok('GET', path, { as: 'system' }))['index'], 1);
  world.machine.files.verdict = { verdict: 'changed', what: 'the file', before: 'a', now: 'b' };
  world.machine.content = 'ef'.repeat(64);
  await again();
  const isNewer = async () => (await world.ok('GET', path, { as: 'system' }))['index'] === 2;
  for (let round = 0; round < 100 && !(await isNewer()); round++)
    await new Promise((resolve) => setTimeout(resolve, 20));
  world.machine.content = null;
  world.machine.files.verdict = { verdict: 'same' };
  assert.ok(await isNewer());
});

test('an image with the hash that is expected of it is one of its own, and is not asked for again', async () => {
  const [source, hex] = [url(), 'AB'.repeat(32)];
  const plain = await cached({ url: source });
  const body = { url: source, checksum: `sha256:${hex}` };
  const pinned = await cached(body);
  const address = `${source}#sha256=${hex.toLowerCase()}`;
  assert.is(pinned['source_url'], address);
  assert.is.not(pinned['uuid'], plain['uuid']);
  assert.is((await world.ok('POST', '/artifacts', { body }))['uuid'], pinned['uuid']);
  assert.is(
    (await world.ok('POST', '/artifacts', { body: { url: address } }))['uuid'],
    pinned['uuid'],
  );
  assert.equal(world.read.artifacts.get(String(pinned['uuid']))?.state.source, {
    kind: 'url',
    url: source,
    checksum: { algorithm: 'sha256', hex: hex.toLowerCase() },
  });
  assert.is(world.read.artifacts.get(String(pinned['uuid']))?.state.name, source.split('/').at(-1));
  assert.not.ok(world.machine.files.checked.includes(source));
  const vm = await world.instance({ disk: [{ base: address }] });
  await world.settled(`/instances/${String(vm['uuid'])}`, 'created');
});

test('how far a fetch is can be followed by whose artifact it is, and by whose instance waits for it', async () => {
  const [source, fetched] = [url(), Promise.withResolvers<void>()];
  world.machine.before = (resource) => (resource === 'replica' ? fetched.promise : undefined);
  const vm = await world.instance({ disk: [{ base: source }] });
  const found = world.read.artifacts.by('sourceUrl', source)[0];
  const { id = '', state } = found ?? {};
  const reader = await new StreamReader(world, { kind: 'artifact', id }).live();
  await waitUntil('the instance waits', () => {
    const waiting = world.read.artifacts.get(id)?.state.waiters;
    return waiting?.includes(`instance/${String(vm['uuid'])}`) === true;
  });
  const blobId = state?.fetching?.blobId ?? '';
  await waitUntil('the blob is there', () => world.read.blobs.get(blobId) !== undefined);
  const progress = { step: 'downloading', percent: 30, doneBytes: 30, totalBytes: 100 };
  const rates = { bytesPerSecond: 10, secondsLeft: 7 };
  const message = { kind: 'progressed', node: NODE, ...progress, ...rates } as const;
  await world.runtime.ask(blobRef(blobId), message, { trace: 'progress' });
  await reader.hears('fetching');
  reader.close();
  const shown = { step: 'downloading', percent: 30, bytes: 30, total_bytes: 100 };
  const extra = { ...shown, bytes_per_second: 10, seconds_left: 7, 'request-id': 'progress' };
  const told = async (path: string, what: string) => {
    const events = await world.ok<View[]>('GET', `${path}/events`);
    return events.filter(({ message: text }) => text === what).map((event) => event['extra']);
  };
  await waitUntil('the instance is told', async () => {
    return (await told(`/instances/${String(vm['uuid'])}`, 'waiting for an image')).length > 0;
  });
  assert.equal(await told(`/instances/${String(vm['uuid'])}`, 'waiting for an image'), [extra]);
  // Once, though the blob has it as well.
  assert.equal(await told(`/artifacts/${id}`, 'fetching'), [extra]);
  world.machine.before = () => undefined;
  fetched.resolve();
  await world.settled(`/instances/${String(vm['uuid'])}`, 'created');
});

test('a hash that is none is refused', async () => {
  const status = async (body: object) => (await world.call('POST', '/artifacts', { body })).status;
  for (const checksum of [
    'md5:aa',
    'sha256:aa',
    `sha256:${'x'.repeat(64)}`,
    'sha512',
    `sha512:${'a'.repeat(64)}`,
  ])
    assert.is(await status({ url: url(), checksum }), 400, checksum);
  assert.is(await status({ url: `${url()}#sha256=zz` }), 400);
  const [both, hex] = [`${url()}#sha256=${'a'.repeat(64)}`, 'a'.repeat(64)];
  assert.is(await status({ url: both, checksum: `sha256:${hex}` }), 400);
});

test('cached again as a shared one, it is shared; as an unshared one, it stays so', async () => {
  const source = url();
  const first = await cached({ url: source }, 'system');
  for (const shared of [true, false]) {
    const again = await world.ok('POST', '/artifacts', {
      as: 'system',
      body: { url: source, shared },
    });
    assert.equal([again['uuid'], again['shared']], [first['uuid'], true]);
  }
});

test('files of the node are for system, by absolute path and proper encoding', async () => {
  const status = async (source: string) =>
    (await world.call('POST', '/artifacts', { as: 'system', body: { url: source } })).status;
  assert.is(await status('file:///srv/image.qcow2'), 200);
  for (const bad of ['file://relative', 'file:///%zz', 'file:///a%00b'])
    assert.is(await status(bad), 400, bad);
});

test('two nodes that are asked for the same URL at once make one artifact; a deleted one is made anew', async () => {
  const request = {
    caller: { namespace: 'lab', keyName: 'k' },
    url: url(),
    namespace: 'lab',
    isShared: false,
    trace: 't',
  };
  const nodes = [new ImageCache(world.services), new ImageCache(world.services)];
  const release = world.journal.hold();
  const both = Promise.all(nodes.map((cache) => cache.ensure(request)));
  setTimeout(() => release(), 50);
  const [one, other] = await both;
  assert.is(one, other);
  await world.settled(`/artifacts/${one}`, 'created');
  await world.ok('DELETE', `/artifacts/${one}`);
  await world.settled(`/artifacts/${one}`, 'deleted');
  const again = await nodes[0]?.ensure(request);
  assert.is.not(again, one);
});

test('the same URL is one artifact, however many ask at once', async () => {
  const source = url();
  const views = await Promise.all(
    Array.from({ length: 10 }, () => world.ok('POST', '/artifacts', { body: { url: source } })),
  );
  assert.is(new Set(views.map((view) => view['uuid'])).size, 1);
  const instances = await Promise.all(
    [1, 2, 3].map(() => world.instance({ disk: [{ base: source }] })),
  );
  assert.is(instances.length, 3);
  const known = (await world.ok<View[]>('GET', '/artifacts')).filter(
    (one) => one['source_url'] === source,
  );
  assert.is(known.length, 1);
});

test('who has no own one gets the shared one', async () => {
  const source = url();
  const { uuid } = await cached({ url: source, shared: true }, 'system');
  assert.is((await world.ok('POST', '/artifacts', { body: { url: source } }))['uuid'], uuid);
  assert.ok((await listed('lab')).includes(uuid));
  assert.is((await world.ok('GET', `/artifacts/${String(uuid)}`))['shared'], true);
});

test('a shared one is everybody’s to read, and its owner’s to delete', async () => {
  const { uuid } = await cached({ url: url(), shared: true }, 'system');
  const path = `/artifacts/${String(uuid)}`;
  assert.is((await world.call('GET', `${path}/events`)).status, 200);
  assert.equal((await world.call('DELETE', path)).json, {
    error: 'artifact not found',
    status: 404,
  });
});

test('another tenant’s artifact reads like a missing one', async () => {
  const source = url();
  const { uuid } = await cached({ url: source });
  const notFound = { error: 'artifact not found', status: 404 };
  const name = source.split('/').at(-1);
  for (const path of [uuid, name, `${String(uuid)}/events`]) {
    const reply = await world.call('GET', `/artifacts/${String(path)}`, { as: 'other' });
    assert.equal(reply.json, notFound, String(path));
  }
  assert.equal(
    (await world.call('DELETE', `/artifacts/${String(uuid)}`, { as: 'other' })).json,
    notFound,
  );
  assert.not.ok((await listed('other')).includes(uuid));
});

test('trust opens the artifacts of a namespace, to list, to cache into and to delete', async () => {
  const state = world.read.namespaces.get('other')?.state;
  const { uuid } = await cached({ url: url() }, 'other');
  world.put('namespace', 'other', { ...state, trusts: ['system', 'lab'] });
  assert.ok((await listed('lab')).includes(uuid));
  assert.is(
    (await world.ok('POST', '/artifacts', { body: { url: url(), namespace: 'other' } }))[
      'namespace'
    ],
    'other',
  );
  assert.is((await world.ok('DELETE', `/artifacts/${String(uuid)}`))['state'], 'deleted');
  world.put('namespace', 'other', state);
});

test('a list can be narrowed to what a node holds', async () => {
  const { uuid } = await cached({ url: url() });
  for (const node of [null, '', NODE]) assert.ok((await listed('lab', { node })).includes(uuid));
  assert.not.ok((await listed('lab', { node: 'n2' })).includes(uuid));
});

test('after a delete it is gone but for its UUID, its blobs are released, and again is null', async () => {
  const source = url();
  const { uuid } = await cached({ url: source });
  const path = `/artifacts/${String(uuid)}`;
  const view = await world.ok('DELETE', path);
  assert.is(view['state'], 'deleted');
  assert.is((view['blobs'] as Record<string, View>)['1']?.['reference_count'], 0);
  assert.is((await world.ok('GET', path))['state'], 'deleted');
  assert.not.ok((await listed('lab')).includes(uuid));
  assert.is((await world.call('GET', `/artifacts/${source.split('/').at(-1)}`)).status, 404);
  const again = await world.call('DELETE', path);
  assert.equal([again.status, again.text], [200, 'null\n']);
  assert.is.not((await world.ok('POST', '/artifacts', { body: { url: source } }))['uuid'], uuid);
});

test('an artifact on its way out is neither listed nor found by name', async () => {
  const source = url();
  const { uuid } = await cached({ url: source });
  const held = Promise.withResolvers<void>();
  const state = world.read.artifacts.get(String(uuid))?.state;
  world.put('artifact', String(uuid), { ...state, phase: 'delete-wait' });
  held.resolve();
  assert.not.ok((await listed('lab')).includes(uuid));
  assert.is((await world.call('GET', `/artifacts/${source.split('/').at(-1)}`)).status, 404);
  assert.is((await world.ok('GET', `/artifacts/${String(uuid)}`))['state'], 'deleted');
});

test('a fetch that is refused ends in error; caching again makes another', async () => {
  const source = url();
  world.machine.before = (resource) => {
    if (resource === 'replica') throw new TroupeError('image/refused', 'has a backing file');
  };
  const { uuid } = await world.ok('POST', '/artifacts', { body: { url: source } });
  await world.settled(`/artifacts/${String(uuid)}`, 'error');
  world.machine.before = () => undefined;
  assert.ok((await listed('lab')).includes(uuid), 'listed until it is deleted');
  const again = await cached({ url: source });
  assert.is.not(again['uuid'], uuid);
  const messages = (await world.ok<View[]>('GET', `/artifacts/${String(uuid)}/events`)).map(
    (event) => event['message'],
  );
  assert.ok(messages.includes('artifact fetch failed'));
});

test('system gets an image of its own where several namespaces have fetched the same URL', async () => {
  const body = { url: 'http://images.test/popular' };
  const owners = new Map<unknown, unknown>();
  for (const as of ['lab', 'other', 'system'] as const) {
    const { uuid, namespace } = await world.ok('POST', '/artifacts', { as, body });
    owners.set(namespace, uuid);
  }
  assert.equal([...owners.keys()], ['lab', 'other', 'system']);
  assert.is(new Set(owners.values()).size, 3);
  const again = await world.ok('POST', '/artifacts', { as: 'system', body });
  assert.is(again['uuid'], owners.get('system'));
});

test('events of a blob are there for who knows its UUID, and are its own only', async () => {
  const { uuid } = await world.ok('POST', '/artifacts', {
    body: { url: 'http://images.test/told' },
  });
  const { blob_uuid: blob } = await world.settled(`/artifacts/${String(uuid)}`, 'created');
  const events = (as: 'lab' | 'other', body = {}) =>
    world.ok<View[]>('GET', `/blobs/${String(blob)}/events`, { as, body });
  const messages = (await events('lab')).map(({ message }) => message);
  assert.ok(messages.includes('fetched') && !messages.includes('created artifact'));
  assert.is((await events('other', { limit: 1 })).length, 1);
  assert.is((await world.call('GET', '/blobs/nothing/events')).status, 404);
});

test.run();
