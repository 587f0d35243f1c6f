// Uploads, blobs, versions, labels, sharing (contract: artifacts 7 to 9, 11).
import { createHash, randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { xxhash128 } from 'hash-wasm';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openApiWorld, type ApiWorld, type Tenant, type View } from '../../support/api-world.ts';
import { waitUntil } from '../../support/wait.ts';

const test = suite('api: uploads, blobs, labels');
let world: ApiWorld;
test.before(async () => {
  world = await openApiWorld();
});
test.after(() => world.close());

const append = (uuid: unknown, raw: Buffer | string) =>
  world.call('POST', `/upload/${String(uuid)}`, { raw });

async function uploaded(bytes: Buffer): Promise<string> {
  const { uuid } = await world.ok('POST', '/upload');
  assert.is((await append(uuid, bytes)).json, bytes.length);
  return String(uuid);
}

async function artifact(
  name: string,
  bytes = randomBytes(100),
  as: Tenant = 'lab',
  more: View = {},
) {
  const body = { upload_uuid: await uploaded(bytes), ...more };
  return world.ok('POST', `/artifacts/upload/${name}`, { as, body });
}
const blobOf = (view: View) => String(view['blob_uuid']);
const dataOf = (uuid: string, query = '') => world.call('GET', `/blobs/${uuid}/data${query}`);
const references = async (uuid: string) =>
  (await world.ok('GET', `/blobs/${uuid}`))['reference_count'];

test('an upload grows by what is appended, is cut off, and becomes an artifact of those bytes', async () => {
  const made = await world.ok('POST', '/upload');
  assert.equal(
    [made['state'], made['metadata'], made['version'], made['node']],
    ['created', {}, 3, 'n1'],
  );
  const { uuid } = made;
  assert.is((await append(uuid, 'one')).text, '3\n');
  assert.is((await append(uuid, 'twoo')).text, '7\n');
  assert.is((await world.call('POST', `/upload/${String(uuid)}/truncate/6`)).text, 'null\n');
  const view = await world.ok('POST', '/artifacts/upload/words', { body: { upload_uuid: uuid } });
  assert.equal(
    [view['state'], view['artifact_type'], view['source_url'], view['index']],
    ['created', 'image', 'sf://upload/lab/words', 1],
  );
  const blobs = view['blobs'] as Record<string, View>;
  assert.is(blobs['1']?.['size'], 6);
  assert.is((await dataOf(blobOf(view))).text, 'onetwo');
  assert.is((await append(uuid, 'more')).status, 404);
});

test('bytes that look like JSON are bytes', async () => {
  const { uuid } = await world.ok('POST', '/upload');
  const text = '{"namespace": "other", "uuid": 1}';
  assert.is((await append(uuid, text)).json, text.length);
  const view = await world.ok('POST', '/artifacts/upload/json', { body: { upload_uuid: uuid } });
  assert.is((await dataOf(blobOf(view))).text, text);
});

test('truncating before the first byte, and to more than there is, is fine', async () => {
  const { uuid } = await world.ok('POST', '/upload');
  assert.is((await world.call('POST', `/upload/${String(uuid)}/truncate/0`)).text, 'null\n');
  assert.is((await world.call('POST', `/upload/${String(uuid)}/truncate/4`)).text, 'null\n');
  assert.is((await append(uuid, 'x')).json, 5);
  assert.is((await world.call('POST', `/upload/${String(uuid)}/truncate/x`)).status, 400);
});

test('a piece whose place is said can be sent again; one beyond the end is refused', async () => {
  const { uuid } = await world.ok('POST', '/upload');
  const at = (offset: number | string, raw: string) =>
    world.call('POST', `/upload/${String(uuid)}?offset=${offset}`, { raw });
  assert.is((await at(0, 'hello ')).json, 6);
  assert.is((await at(0, 'hello ')).json, 6);
  assert.is((await at(4, 'o world')).json, 11);
  assert.is((await at(11, '!')).json, 12);
  assert.is((await at(13, 'x')).status, 409);
  assert.is((await at('x', 'x')).status, 400);
  const view = await world.ok('POST', '/artifacts/upload/placed', { body: { upload_uuid: uuid } });
  assert.is((await dataOf(blobOf(view))).text, 'hello world!');
});

test('bytes on a node that is away are refused with what to do, and nothing is made of them', async () => {
  const { uuid } = await world.ok('POST', '/upload');
  await append(uuid, 'x');
  world.put('upload', String(uuid), { ...world.read.uploads.get(String(uuid))?.state, node: 'n9' });
  const error =
    'the bytes of this upload are on n9, which is away: bring it back, or begin a new upload';
  const post = (path: string, body?: View) =>
    world.call('POST', path, body ? { body } : { raw: 'x' });
  for (const reply of [
    await post(`/upload/${String(uuid)}`),
    await post(`/upload/${String(uuid)}/truncate/0`, {}),
    await post('/artifacts/upload/away', { upload_uuid: uuid }),
  ])
    assert.equal(reply.json, { error, status: 503 });
  assert.is((await world.call('GET', '/artifacts/away')).status, 404);
});

test('a body of many pieces arrives whole', async () => {
  const bytes = randomBytes(3_000_001);
  const view = await artifact('large', bytes);
  const reply = await dataOf(blobOf(view));
  assert.is(Number(reply.headers['content-length']), bytes.length);
  const shown = await world.ok('GET', `/blobs/${blobOf(view)}`);
  assert.is(shown['sha512'], createHash('sha512').update(bytes).digest('hex'));
  assert.equal(shown['locations'], ['n1']);
});

const REFUSED: readonly (readonly [string, View, number, string])[] = [
  [
    'both',
    { upload_uuid: 'a', blob_uuid: 'b' },
    400,
    'only specify one of upload_uuid and blob_uuid',
  ],
  ['neither', {}, 400, 'specify upload_uuid or blob_uuid'],
  ['an unknown upload', { upload_uuid: 'a' }, 404, 'upload not found'],
  ['an unknown blob', { blob_uuid: 'a' }, 404, 'blob not found'],
  ['an unknown namespace', { namespace: 'nowhere' }, 404, 'namespace not found'],
  ['a foreign namespace', { namespace: 'other' }, 404, 'namespace not found'],
];
for (const [what, body, status, error] of REFUSED) {
  test(`making an artifact of ${what} is ${status}, and leaves none behind`, async () => {
    const reply = await world.call('POST', '/artifacts/upload/refused', { body });
    assert.equal(reply.json, { error, status });
    assert.is((await world.call('GET', '/artifacts/refused')).status, 404);
  });
}

test('an empty upload, a wrong type and sharing by a tenant are refused', async () => {
  const { uuid } = await world.ok('POST', '/upload');
  const post = (body: View) => world.call('POST', '/artifacts/upload/no', { body });
  assert.is((await post({ upload_uuid: uuid })).status, 400);
  await append(uuid, 'x');
  assert.is((await post({ upload_uuid: uuid, artifact_type: 'label' })).status, 403);
  assert.is((await post({ upload_uuid: uuid, shared: true })).status, 403);
});

test('versions count up, old ones go, and a number is never used again', async () => {
  const views: View[] = [];
  for (let count = 0; count < 5; count++) views.push(await artifact('many'));
  const [newest] = views.slice(-1) as [View];
  assert.equal(Object.keys(newest['blobs'] as object), ['3', '4', '5']);
  const gone = blobOf(views[0] as View);
  const isDeleted = async () => (await world.ok('GET', `/blobs/${gone}`))['state'] === 'deleted';
  await waitUntil('the blob that no version has', isDeleted, 5_000);
  const { index, blob_uuid: last } = await world.ok('DELETE', '/artifacts/many/versions/5');
  assert.equal([index, last], [4, blobOf(views[3] as View)]);
  assert.is((await artifact('many'))['index'], 6);
  const listed = await world.ok<View[]>('GET', '/artifacts/many/versions');
  assert.equal(
    listed.map((one) => one['index']),
    [3, 4, 6],
  );
  assert.is((await world.call('DELETE', '/artifacts/many/versions/5')).status, 404);
  assert.is((await world.call('DELETE', '/artifacts/many/versions/x')).status, 400);
  assert.is(
    (await world.call('POST', '/artifacts/many/versions', { body: { max_versions: '1' } })).text,
    'null\n',
  );
  assert.equal(
    (await world.ok<View[]>('GET', '/artifacts/many/versions')).map((one) => one['index']),
    [6],
  );
  assert.is(
    (await world.call('POST', '/artifacts/many/versions', { body: { max_versions: 0 } })).status,
    400,
  );
  assert.is((await world.ok('DELETE', '/artifacts/many/versions/6'))['state'], 'deleted');
});

test('a label holds blobs of others, counts as one reference, and each blob once in a row', async () => {
  const blob = blobOf(await artifact('labelled'));
  assert.is(await references(blob), 1);
  const label = await world.ok('POST', '/label/golden', { body: { blob_uuid: blob } });
  assert.equal(
    [label['artifact_type'], label['source_url'], label['index']],
    ['label', 'sf://label/lab/golden', 1],
  );
  assert.is((await world.ok('POST', '/label/golden', { body: { blob_uuid: blob } }))['index'], 1);
  assert.is(await references(blob), 2);
  const second = blobOf(await artifact('labelled'));
  assert.is((await world.ok('PUT', '/label/golden', { body: { blob_uuid: second } }))['index'], 2);
  // Back to the first, which it has already: another version, no other reference.
  assert.is((await world.ok('POST', '/label/golden', { body: { blob_uuid: blob } }))['index'], 3);
  assert.is(await references(blob), 2);
  await world.ok('DELETE', '/artifacts/labelled');
  await waitUntil(
    'the artifact’s references to go',
    async () => (await references(blob)) === 1,
    5_000,
  );
  assert.is((await world.ok('GET', '/label/golden'))['blob_uuid'], blob);
  assert.is((await world.ok('GET', '/label/lab/golden', { as: 'system' }))['blob_uuid'], blob);
  await world.ok('DELETE', '/label/golden');
  assert.equal((await world.call('GET', '/label/golden')).json, {
    error: 'label golden not found',
    status: 404,
  });
  await waitUntil('the last reference to go', async () => (await references(blob)) === 0, 5_000);
});

test('a label of a namespace that does not trust the caller is not for it', async () => {
  const blob = blobOf(await artifact('mine'));
  const body = { blob_uuid: blob };
  assert.is((await world.call('POST', '/label/other/gift', { body })).status, 404);
  assert.is(
    (await world.call('POST', '/label/gift', { body: { blob_uuid: 'nothing' } })).status,
    404,
  );
  assert.is((await world.call('POST', '/label/gift', { body: {} })).status, 400);
  assert.is((await world.call('GET', '/artifacts/gift')).status, 404);
  await world.ok('POST', '/auth/namespaces/other/trust', {
    as: 'other',
    body: { external_namespace: 'lab' },
  });
  const label = await world.ok('POST', '/label/other/gift', { body });
  assert.equal([label['namespace'], label['source_url']], ['other', 'sf://label/other/gift']);
  await world.ok('DELETE', '/auth/namespaces/other/trust/lab', { as: 'other' });
});

test('sharing is for artifacts of system; a shared one is read by all and changed by its own', async () => {
  const mine = await artifact('private');
  const share = (uuid: unknown, verb: string, as: Tenant) =>
    world.call('POST', `/artifacts/${String(uuid)}/${verb}`, { as });
  assert.is((await share(mine['uuid'], 'share', 'lab')).status, 403);
  assert.is(
    (await world.call('GET', `/artifacts/${String(mine['uuid'])}`, { as: 'other' })).status,
    404,
  );
  const common = await artifact('common', randomBytes(9), 'system');
  assert.is((await share(common['uuid'], 'unshare', 'system')).status, 403);
  assert.is(((await share(common['uuid'], 'share', 'system')).json as View)['shared'], true);
  const seen = await world.ok('GET', `/artifacts/${String(common['uuid'])}`, { as: 'other' });
  assert.is(seen['shared'], true);
  assert.equal(
    await world.ok('GET', `/artifacts/${String(common['uuid'])}/metadata`, { as: 'other' }),
    {},
  );
  assert.is(
    (await world.call('DELETE', `/artifacts/${String(common['uuid'])}`, { as: 'other' })).status,
    404,
  );
  assert.is((await share(common['uuid'], 'unshare', 'other')).status, 404);
  assert.is(((await share(common['uuid'], 'unshare', 'system')).json as View)['shared'], false);
});

test('a blob is found by its hash, and used again instead of an upload', async () => {
  const bytes = randomBytes(50);
  const view = await artifact('hashed', bytes);
  const hashes: [string, string][] = ['sha512', 'sha256', 'sha1'].map((algorithm) => [
    algorithm,
    createHash(algorithm).update(bytes).digest('hex'),
  ]);
  // Found out in the background: these bytes were reported as an older version does.
  const known = () => world.read.blobs.get(blobOf(view))?.state.content?.facts !== undefined;
  await waitUntil('the hashes', known);
  for (const [algorithm, hash] of [...hashes, ['xxh128', await xxhash128(bytes)]]) {
    const found = await world.ok('GET', `/blob_checksums/${algorithm}/${hash}`, { as: 'other' });
    assert.is(found['uuid'], blobOf(view));
  }
  assert.is((await world.call('GET', `/blob_checksums/sha512/${'0'.repeat(128)}`)).text, 'null\n');
  const unknown = await world.call('GET', '/blob_checksums/md5/0');
  assert.equal(unknown.json, { error: 'unknown hash algorithm', status: 400 });
  const again = await world.ok('POST', '/artifacts/upload/again', {
    body: { blob_uuid: blobOf(view) },
  });
  assert.is(blobOf(again), blobOf(view));
  assert.is(await references(blobOf(view)), 2);
});

test('parts of a blob: offset, limit, past the end; what is no number is refused', async () => {
  const uuid = blobOf(await artifact('parts', Buffer.from('0123456789')));
  assert.is((await dataOf(uuid, '?offset=3')).text, '3456789');
  assert.is((await dataOf(uuid, '?offset=3&limit=2')).text, '34');
  assert.is((await dataOf(uuid, '?limit=0')).text, '0123456789');
  assert.is((await dataOf(uuid, '?offset=99')).text, '');
  for (const query of ['?offset=x', '?offset=-1', '?limit=-1']) {
    assert.is((await dataOf(uuid, query)).status, 400);
  }
  assert.is((await dataOf('nowhere')).status, 404);
  assert.is((await world.call('HEAD', `/blobs/${uuid}/data`)).headers['content-length'], '10');
});

test('a blob whose holders give nothing cuts the answer off instead of ending it', async () => {
  const uuid = blobOf(await artifact('lost', randomBytes(2_000_000)));
  world.machine.files.replicas.delete(uuid);
  const outcome = await dataOf(uuid).then(
    (reply) => reply.status,
    (error: Error) => error.message,
  );
  assert.match(String(outcome), /socket hang up|aborted|ECONNRESET/);
});

test('a client that goes away in the middle harms nobody', async () => {
  const uuid = blobOf(await artifact('left', randomBytes(8_000_000)));
  const headers = { Authorization: `Bearer ${world.token('lab')}` };
  await new Promise<void>((resolve) => {
    const sent = request(
      { host: '127.0.0.1', port: world.port, path: `/blobs/${uuid}/data`, headers },
      (response) => {
        response.once('data', () => {
          sent.destroy();
          resolve();
        });
      },
    );
    sent.on('error', () => undefined);
    sent.end();
  });
  assert.is((await dataOf(uuid, '?limit=1')).status, 200);
  assert.not(world.lines.some((line) => line.message === 'answer not sent'));
});

test('all blobs are listed for system only, by node if asked', async () => {
  assert.is((await world.call('GET', '/blobs')).status, 401);
  const all = await world.ok<View[]>('GET', '/blobs', { as: 'system' });
  assert.ok(all.length > 3);
  assert.ok(all.every((one) => one['state'] !== 'deleted' && !('instances' in one)));
  assert.equal(await world.ok('GET', '/blobs', { as: 'system', body: { node: 'nowhere' } }), []);
});

test('a disk that is full is a clear error, and the upload can go on', async () => {
  const { uuid } = await world.ok('POST', '/upload');
  world.machine.files.failure = Object.assign(new Error('full'));
  const reply = await append(uuid, 'x');
  world.machine.files.failure = undefined;
  assert.ok(reply.status >= 400);
  assert.is((await append(uuid, 'x')).json, 1);
});

test('delete all takes the artifacts of one namespace, once', async () => {
  const theirs = await artifact('theirs', randomBytes(9), 'system');
  const ids = await world.ok<string[]>('DELETE', '/artifacts', { body: { confirm: true } });
  assert.ok(ids.length > 3);
  assert.not(ids.includes(String(theirs['uuid'])));
  assert.equal(await world.ok('DELETE', '/artifacts', { body: { confirm: true } }), []);
});

test.run();
