// Snapshots of an instance's disks over REST (contract: artifacts 10).
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { openApiWorld, type ApiWorld, type View } from '../../support/api-world.ts';
import { waitUntil } from '../../support/wait.ts';

const test = suite('snapshots API');
let world: ApiWorld;
test.before(async () => {
  world = await openApiWorld();
});
test.after(() => world.close());

type Promised = Record<string, Record<'source_url' | 'artifact_uuid' | 'blob_uuid', string>>;

const DISKS = [{ size: 1 }, { size: 2 }, { size: 1, bus: 'sata', type: 'cdrom' }];

async function running(body: View = {}): Promise<string> {
  const id = String((await world.instance({ disk: DISKS, ...body }))['uuid']);
  await world.settled(`/instances/${id}`, 'created');
  return id;
}

const post = (id: string, body: View = {}) =>
  world.ok<Promised>('POST', `/instances/${id}/snapshot`, { body });
const list = (id: string) => world.ok<View[]>('GET', `/instances/${id}/snapshot`);
const events = async (path: string) =>
  (await world.ok<View[]>('GET', `${path}/events`)).map((event) => event);

async function taken(id: string, count: number): Promise<View[]> {
  let views: View[] = [];
  await waitUntil(`${count} snapshots`, async () => {
    views = await list(id);
    return views.length === count;
  });
  return views;
}

test('answers at once what will be of the first disk, which is then a version in the blended shape', async () => {
  const id = await running();
  const promised = await post(id);
  assert.equal(Object.keys(promised), ['vda']);
  const { source_url: url, artifact_uuid: artifact, blob_uuid: blob } = promised['vda'] ?? {};
  assert.is(url, `sf://instance/${id}/vda`);
  const [view = {}] = await taken(id, 1);
  const { size, modified, fetched_at: at, last_used: _, sha512, created, ...shownDisk } = view;
  // Found out in the background, of what an older version kept.
  const { 'disk size': _size, ...rest } = shownDisk;
  assert.ok(Number(size) > 0 && Number(modified) > 0 && String(sha512).length === 128);
  assert.is(created, Math.floor(Number(at)));
  assert.equal(rest, {
    uuid: artifact,
    artifact_type: 'snapshot',
    source_url: url,
    max_versions: 3,
    namespace: 'lab',
    shared: false,
    state: 'created',
    metadata: {},
    version: 6,
    blob_uuid: blob,
    depends_on: null,
    transcodes: {},
    locations: [world.services.node],
    reference_count: 1,
    'file format': 'raw',
    'virtual size': rest['virtual size'],
    'mime-type': 'application/octet-stream',
    instances: [],
    device: 'vda',
  });
  const shown = await world.ok('GET', `/artifacts/${artifact ?? ''}`);
  assert.equal([shown['state'], shown['index'], shown['blob_uuid']], ['created', 1, blob]);
  const said = await events(`/instances/${id}`);
  const words = said.map(({ message }) => message);
  for (const word of ['snapshot request from REST API', 'snapshot', 'snapshot copied']) {
    assert.ok(words.includes(word), word);
  }
  const answer = said.find(({ message }) => message === 'snapshot')?.['extra'] as View;
  assert.equal(answer['vda'], promised['vda']);
});

test('all disks but config drive and CD-ROM, with the UEFI variables; one device; none', async () => {
  const id = await running({ uefi: true });
  assert.equal(Object.keys(await post(id, { all: true })).toSorted(), ['nvram', 'vda', 'vdc']);
  assert.equal(Object.keys(await post(id, { device: 'vdc', all: true })), ['vdc']);
  assert.equal(Object.keys(await post(id, { device: 'nvram' })), ['nvram']);
  for (const device of ['vdb', 'sdd', 'nothing']) assert.equal(await post(id, { device }), {});
  const views = await taken(id, 5);
  assert.equal(
    views.map(({ device }) => device),
    ['vda', 'vdc', 'vdc', 'nvram', 'nvram'],
  );
});

test('a disk has one artifact, and keeps as many versions as the first request said', async () => {
  const id = await running();
  const uuids = new Set<string>();
  const blobs: string[] = [];
  for (const body of [{ max_versions: 2 }, { max_versions: 9 }, {}]) {
    const { vda } = await post(id, body);
    uuids.add(vda?.artifact_uuid ?? '');
    blobs.push(vda?.blob_uuid ?? '');
    await waitUntil('it is there', async () =>
      (await list(id)).some((view) => view['blob_uuid'] === vda?.blob_uuid),
    );
  }
  assert.is(uuids.size, 1);
  assert.equal(
    (await taken(id, 2)).map((view) => view['blob_uuid']),
    blobs.slice(1),
  );
});

test('while it is copied nothing is listed; called off with its instance, the artifact says so', async () => {
  const id = await running();
  const asked = Promise.withResolvers<void>();
  world.machine.copyDisks = ({ signal }) =>
    new Promise((_, reject) => {
      asked.resolve();
      const end = () => reject(new TroupeError('actor/stopped', 'called off'));
      signal.addEventListener('abort', end);
    });
  const { vda } = await post(id);
  await asked.promise;
  assert.equal(await list(id), []);
  const artifact = `/artifacts/${vda?.artifact_uuid}`;
  assert.is((await world.ok('GET', artifact))['state'], 'initial');
  assert.is((await world.call('GET', `/blobs/${vda?.blob_uuid}`)).status, 404);
  await world.ok('DELETE', `/instances/${id}`);
  await world.settled(`/instances/${id}`, 'deleted');
  await world.settled(artifact, 'error');
  world.machine.copyDisks = () => Promise.resolve();
  const told = (await events(artifact)).find(({ message }) => message === 'version not added');
  assert.match(String((told?.['extra'] as View | undefined)?.['reason']), /called off/);
  assert.is(world.machine.files.spooled.size, 0);
});

test('what QEMU refuses is told on instance and artifact; the next snapshot has the same artifact', async () => {
  const id = await running();
  world.machine.copyDisks = () =>
    Promise.reject(new TroupeError('hypervisor/refused', 'QEMU could not copy the disks'));
  const first = await post(id);
  const artifact = `/artifacts/${first['vda']?.artifact_uuid}`;
  await world.settled(artifact, 'error');
  const isTold = async () =>
    (await events(`/instances/${id}`)).some(({ message }) => message === 'snapshot failed');
  await waitUntil('the instance says so', isTold);
  world.machine.copyDisks = () => Promise.resolve();
  const second = await post(id);
  assert.is(second['vda']?.artifact_uuid, first['vda']?.artifact_uuid);
  await world.settled(artifact, 'created');
  assert.is((await taken(id, 1))[0]?.['blob_uuid'], second['vda']?.blob_uuid);
});

/** The blob of an upload that is an image. */
async function image(name: string): Promise<string> {
  const { uuid } = await world.ok('POST', '/upload', { body: {} });
  await world.call('POST', `/upload/${String(uuid)}`, { raw: Buffer.from('an image') });
  const body = { upload_uuid: uuid };
  const view = await world.ok('POST', `/artifacts/upload/${name}`, { body });
  return String(view['blob_uuid']);
}

async function thinOf(disk: View[], body: View): Promise<View[]> {
  const id = await running({ disk });
  await post(id, { ...body, all: true });
  return await taken(id, disk.length);
}

test('a thin one depends on what its disk started from; of a blank disk it is full', async () => {
  const base = await image('base');
  const disk = [{ size: 1, base: `sf://blob/${base}` }, { size: 2 }];
  const [first, second] = await thinOf(disk, { thin: true });
  assert.equal([first?.['depends_on'], second?.['depends_on']], [base, null]);
  const child = String(first?.['blob_uuid']);
  assert.is((await world.ok('GET', `/blobs/${child}`))['depends_on'], base);
  const { blobs } = await world.ok('GET', `/artifacts/${String(first?.['uuid'])}`);
  assert.is((blobs as Record<string, View>)['1']?.['depends_on'], base);
  // The upload's version, the instance's disk, and the snapshot.
  assert.is((await world.ok('GET', `/blobs/${base}`))['reference_count'], 3);
  const next = await running({ disk: [{ size: 1, base: `sf://blob/${child}` }] });
  const { instances } = await world.ok('GET', `/blobs/${base}`);
  assert.ok((instances as string[]).includes(next), 'through the snapshot');
  const [full] = await thinOf([{ size: 1, base: `sf://blob/${child}` }], { thin: false });
  assert.is(full?.['depends_on'], null);
});

test('where thin is the default nobody can ask for a full one', async () => {
  const base = await image('base-of-default');
  Object.assign(world.services, { snapshots: 'thin' });
  try {
    const disk = [{ size: 1, base: `sf://blob/${base}` }];
    const [view] = await thinOf(disk, { thin: false });
    assert.is(view?.['depends_on'], base);
  } finally {
    Object.assign(world.services, { snapshots: 'full' });
  }
});

test('only of one that is created, by its owner', async () => {
  const id = await running();
  const call = (body: View, as: 'lab' | 'other' = 'lab') =>
    world.call('POST', `/instances/${id}/snapshot`, { body, as });
  assert.is((await call({}, 'other')).status, 404);
  assert.is((await world.call('GET', `/instances/${id}/snapshot`, { as: 'other' })).status, 404);
  assert.is((await call({ max_versions: 'many' })).status, 400);
  assert.equal(await list(id), []);
  await post(id, { thin: false, all: null, device: null, max_versions: '0' });
  await taken(id, 1);
  await world.ok('DELETE', `/instances/${id}`);
  await world.settled(`/instances/${id}`, 'deleted');
  const { status, json } = await call({});
  assert.is(status, 406);
  assert.match(String((json as View)['error']), /is not ready \(deleted\)/);
  assert.is((await list(id)).length, 1, 'they outlive the instance');
});

test.run();
