// `troupe instance snapshot`: what it asks for, what it waits for, how it ends.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { FakeApi, run } from './fake-api.ts';

const test = suite('cli: snapshots');
const api = await FakeApi.start();
test.before.each(() => api.reset());
test.after(() => api.stop());

const POST = 'POST /instances/web/snapshot';
const promised = (device: string) => ({
  source_url: `sf://instance/i/${device}`,
  artifact_uuid: `a-${device}`,
  blob_uuid: `b-${device}`,
});
const made = (device: string, state = 'created') => ({
  uuid: `a-${device}`,
  blob_uuid: `b-${device}`,
  device,
  state,
  size: 2048,
  fetched_at: 1_730_000_000,
});

test('waits until each of the disks that it was promised is there, and shows them', async () => {
  api.on(POST, () => ({ vda: promised('vda'), vdc: promised('vdc') }));
  const looks = [[], [made('vda')], [made('vda'), made('vdc', 'initial')]];
  const older = { ...made('vda'), blob_uuid: 'older' };
  api.on('GET /instances/web/snapshot', () => [
    older,
    ...(looks.shift() ?? [made('vda'), made('vdc')]),
  ]);
  for (const device of ['vda', 'vdc']) api.on(`GET /artifacts/a-${device}/events`, () => []);
  const { code, out } = await run(api, 'instance snapshot web --all --max-versions 5');
  assert.is(code, 0);
  assert.equal(
    out
      .trimEnd()
      .split('\n')
      .slice(1)
      .map((line) => line.split(/ +/).slice(0, 3)),
    [
      ['vda', 'b-vda', 'created'],
      ['vdc', 'b-vdc', 'created'],
    ],
  );
  assert.equal(api.bodies(POST), [{ all: true, max_versions: 5 }]);
  assert.is(looks.length, 0);
});

test('says why there will be none, in the words of the artifact', async () => {
  api.on(POST, () => ({ vda: promised('vda') }));
  api.on('GET /instances/web/snapshot', () => []);
  const extra = { blobId: 'b-vda', reason: 'no space is left' };
  api.on('GET /artifacts/a-vda/events', () => [
    { message: 'version not added', extra: { blobId: 'older', reason: 'another' } },
    { message: 'version not added', extra },
  ]);
  const { code, err } = await run(api, 'instance snapshot web');
  assert.is(code, 1);
  assert.match(err, /no snapshot of sf:\/\/instance\/i\/vda was made: no space is left/);
});

test('a disk that there is not is a failure; without waiting the promise is what is printed', async () => {
  api.on(POST, () => ({}));
  const none = await run(api, 'instance snapshot web -d vdz');
  assert.is(none.code, 1);
  assert.match(none.err, /has no such disk/);
  assert.equal(api.bodies(POST), [{ all: false, device: 'vdz', max_versions: 0 }]);
  api.on(POST, () => ({ vda: promised('vda') }));
  const { out } = await run(api, 'instance snapshot web --no-wait');
  assert.equal(JSON.parse(out), { vda: promised('vda') });
});

test('lists them', async () => {
  api.on('GET /instances/web/snapshot', () => [made('vda')]);
  assert.match((await run(api, 'instance snapshots web')).out, /vda +b-vda +created +2\.0 KiB/);
  api.on('GET /instances/web/snapshot', () => []);
  assert.match((await run(api, 'instance snapshots web')).err, /no snapshots/);
});

test.run();
