// What a disk starts from (contract: artifacts 5.2, instances 3.1).
import { randomBytes } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { artifactRef } from '../../../actors/artifact/state.ts';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { openApiWorld, type ApiWorld, type Tenant, type View } from '../../support/api-world.ts';
import { waitUntil } from '../../support/wait.ts';

const test = suite('api: disk bases');
let world: ApiWorld;
test.before(async () => {
  world = await openApiWorld();
});
test.after(() => world.close());

async function uploaded(name: string, as: Tenant = 'lab', more: View = {}): Promise<View> {
  const { uuid } = await world.ok('POST', '/upload', { as });
  await world.call('POST', `/upload/${String(uuid)}`, { as, raw: randomBytes(512) });
  return world.ok('POST', `/artifacts/upload/${name}`, {
    as,
    body: { upload_uuid: uuid, ...more },
  });
}

async function started(base: string, as: Tenant = 'lab', more: View = {}): Promise<View> {
  const { uuid } = await world.instance({ disk: [{ base }], ...more }, as);
  return world.settled(`/instances/${String(uuid)}`, 'created', as);
}

async function refusal(base: string, as: Tenant = 'lab'): Promise<unknown> {
  const body = { name: 'web', cpus: 1, memory: 128, disk: [{ base }] };
  return (await world.call('POST', '/instances', { as, body })).json;
}

const baseOf = (view: View) => (view['disk_spec'] as View[])[0]?.['blob_uuid'];
const NOT_FOUND = { error: 'artifact not found', status: 404 };

test('an upload, a label in each of its forms and a blob start a disk from the newest version', async () => {
  const first = await uploaded('disk');
  const second = await uploaded('disk');
  const [old, blob] = [first['blob_uuid'], second['blob_uuid']];
  await world.ok('POST', '/label/golden', { body: { blob_uuid: blob } });
  const bases: [string, unknown][] = [
    ['sf://upload/lab/disk', blob],
    ['label:golden', blob],
    ['sf://label/lab/golden', blob],
    [`sf://snapshot/${String(second['uuid'])}`, blob],
    [`sf://blob/${String(old)}`, old],
  ];
  for (const [base, expected] of bases) {
    const view = await started(base);
    assert.is(baseOf(view), expected, base);
    assert.is((view['disks'] as View[])[0]?.['blob_uuid'], expected, base);
    const { instances } = await world.ok('GET', `/blobs/${String(expected)}`);
    assert.ok((instances as unknown[]).includes(view['uuid']), base);
  }
});

test('a version that has gone meanwhile stays for the disk that is based on it', async () => {
  const first = await uploaded('kept');
  const view = await started('sf://upload/lab/kept');
  await world.ok('DELETE', '/artifacts/kept');
  const blob = await world.ok('GET', `/blobs/${String(first['blob_uuid'])}`);
  assert.equal([blob['state'], blob['reference_count']], ['created', 1]);
  await world.ok('DELETE', `/instances/${String(view['uuid'])}`);
  await world.settled(`/blobs/${String(first['blob_uuid'])}`, 'deleted');
});

test('of others, only what is shared, or of a namespace that trusts the caller', async () => {
  const { uuid, blob_uuid: blob } = await uploaded('theirs', 'other');
  const bases = ['sf://upload/other/theirs', `sf://snapshot/${String(uuid)}`];
  for (const base of bases) assert.equal(await refusal(base), NOT_FOUND, base);
  await world.ok('POST', '/auth/namespaces/other/trust', {
    as: 'other',
    body: { external_namespace: 'lab' },
  });
  for (const base of bases) assert.is(baseOf(await started(base)), blob, base);
  await world.ok('DELETE', '/auth/namespaces/other/trust/lab', { as: 'other' });
  assert.equal(await refusal(bases[0] ?? ''), NOT_FOUND);
  const shared = await uploaded('everybody', 'system', { shared: true });
  assert.is(baseOf(await started('sf://upload/system/everybody')), shared['blob_uuid']);
});

test('a label is the caller’s, also for an instance in another namespace', async () => {
  const { blob_uuid: blob } = await uploaded('image', 'system');
  await world.ok('POST', '/label/operators', { as: 'system', body: { blob_uuid: blob } });
  const view = await started('label:operators', 'system', { namespace: 'lab' });
  assert.equal([view['namespace'], baseOf(view)], ['lab', blob]);
  assert.equal(await refusal('label:operators'), NOT_FOUND);
});

test('several of the same address: that of the instance’s own namespace', async () => {
  const more = { source_url: 'sf://upload/here/same' };
  const [mine, theirs] = [
    await uploaded('same', 'lab', more),
    await uploaded('same', 'other', more),
  ];
  assert.is(baseOf(await started('sf://upload/here/same', 'lab')), mine['blob_uuid']);
  assert.is(
    baseOf(await started('sf://upload/here/same', 'system', { namespace: 'other' })),
    theirs['blob_uuid'],
  );
  const body = { name: 'web', cpus: 1, memory: 128, disk: [{ base: 'sf://upload/here/same' }] };
  const reply = await world.call('POST', '/instances', { as: 'system', body });
  assert.is(reply.status, 400);
});

test('what is not there, or not ready, is 404 in the contract’s words', async () => {
  for (const base of [
    'label:nothing',
    'sf://label/lab/nothing',
    'sf://upload/lab/nothing',
    'sf://snapshot/nothing',
    'sf://instance/nothing/vda',
    'sf://elsewhere/x',
  ]) {
    assert.equal(await refusal(base), NOT_FOUND, base);
  }
  const gone = await uploaded('gone');
  await world.ok('DELETE', '/artifacts/gone');
  assert.equal(await refusal(`sf://snapshot/${String(gone['uuid'])}`), {
    error: 'artifact not ready (state=deleted)',
    status: 404,
  });
  const found = { type: 'label', name: 'early', namespace: 'lab', shared: false } as const;
  const sourceUrl = 'sf://label/lab/early';
  await world.tell(artifactRef('a-label'), { kind: 'found', ...found, sourceUrl, maxVersions: 3 });
  assert.equal(await refusal('label:early'), {
    error: 'artifact not ready (state=initial)',
    status: 404,
  });
});

test('a short name is fetched from where the table says, and keeps its name', async () => {
  const sources: unknown[] = [];
  world.machine.before = (resource, spec) =>
    resource === 'replica' && spec !== null ? void sources.push(spec['source']) : undefined;
  const view = await started('debian:12');
  world.machine.before = () => undefined;
  assert.equal(sources, [{ kind: 'url', url: 'http://images.test/debian:12/v12.qcow2' }]);
  assert.is((view['disk_spec'] as View[])[0]?.['base'], 'debian:12');
  const artifact = await world.ok('GET', '/artifacts/debian:12');
  assert.equal([artifact['source_url'], artifact['state']], ['debian:12', 'created']);
  assert.match(JSON.stringify(await refusal('arch')), /setting image-shortcuts/);
});

test('a packed upload starts disks from a transcode, made once and used by what it came from', async () => {
  const { uuid: upload } = await world.ok('POST', '/upload');
  await world.call('POST', `/upload/${String(upload)}`, { raw: gzipSync(randomBytes(600)) });
  const body = { upload_uuid: upload };
  const { blob_uuid: blob } = await world.ok('POST', '/artifacts/upload/packed', { body });
  const views = await Promise.all([1, 2].map(() => started('sf://upload/lab/packed')));
  const shown = await world.ok('GET', `/blobs/${String(blob)}`);
  const { qcow2: disk } = shown['transcodes'] as { qcow2: string };
  for (const view of views) {
    assert.is((view['disks'] as View[])[0]?.['blob_uuid'], blob, 'shown is what was asked for');
    assert.ok((shown['instances'] as unknown[]).includes(view['uuid']));
  }
  assert.is((await world.ok('GET', `/blobs/${disk}`))['reference_count'], 3);
  for (const view of views) await world.ok('DELETE', `/instances/${String(view['uuid'])}`);
  await waitUntil(
    'the instances to leave',
    async () => (await world.ok('GET', `/blobs/${disk}`))['reference_count'] === 1,
    5_000,
  );
  await world.ok('DELETE', '/artifacts/packed');
  await world.settled(`/blobs/${disk}`, 'deleted');
});

test('bytes of which no disk can be made fail the instance with the reason', async () => {
  const { uuid: upload } = await world.ok('POST', '/upload');
  await world.call('POST', `/upload/${String(upload)}`, { raw: gzipSync('words') });
  const body = { upload_uuid: upload };
  await world.ok('POST', '/artifacts/upload/words', { body });
  world.machine.before = (_resource, spec) => {
    if ((spec?.['source'] as View | undefined)?.['kind'] !== 'blob') return;
    throw new TroupeError('image/refused', 'the image is refused: it is text');
  };
  const { uuid } = await world.instance({ disk: [{ base: 'sf://upload/lab/words' }] });
  const view = await world.settled(`/instances/${String(uuid)}`, 'error');
  world.machine.before = () => undefined;
  assert.match(String(view['error_message']), /Image fetch failed: .*it is text/);
});

test('NVRAM starts from a label, a snapshot or a blob; only UEFI has one', async () => {
  const { blob_uuid: blob } = await uploaded('vars', 'lab', { artifact_type: 'other' });
  await world.ok('POST', '/label/vars', { body: { blob_uuid: blob } });
  const wished: unknown[] = [];
  world.machine.before = (resource, spec) =>
    resource === 'domain' && spec !== null ? void wished.push(spec['nvramTemplate']) : undefined;
  const forms = ['label:vars', 'sf://label/lab/vars', `sf://blob/${String(blob)}`, String(blob)];
  for (const template of forms) {
    const { uuid } = await world.instance({ uefi: true, nvram_template: template });
    const view = await world.settled(`/instances/${String(uuid)}`, 'created');
    assert.equal([view['nvram_template'], wished.pop()], [blob, blob], template);
    const { instances } = await world.ok('GET', `/blobs/${String(blob)}`);
    assert.ok((instances as unknown[]).includes(uuid));
  }
  const { uuid } = await world.instance({ nvram_template: 'label:vars' });
  const view = await world.settled(`/instances/${String(uuid)}`, 'created');
  assert.equal([view['nvram_template'], wished.pop()], [blob, undefined]);
  world.machine.before = () => undefined;
  const call = async (template: string) => {
    const body = { name: 'w', cpus: 1, memory: 64, disk: [{ size: 1 }], nvram_template: template };
    return (await world.call('POST', '/instances', { body })).json as View;
  };
  assert.equal(await call('label:nothing'), NOT_FOUND);
  assert.match(String((await call('http://h/x'))['error']), /NVRAM template is a label/);
});

test.run();
