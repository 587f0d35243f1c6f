// The command line against the real API: what moves bytes, and what every kind of object has.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  openApiWorld,
  SECRETS,
  type ApiWorld,
  type Tenant,
  type View,
} from '../../support/api-world.ts';
import { run } from '../../unit/cli/fake-api.ts';

const test = suite('api: command line');
const directory = mkdtempSync(join(tmpdir(), 'troupe-cli-api-'));
let world: ApiWorld;
test.before(async () => {
  world = await openApiWorld();
});
test.after(async () => {
  await world.close();
  rmSync(directory, { recursive: true });
});

async function troupe(words: string | readonly string[], as: Tenant = 'lab') {
  const variables = {
    TROUPE_API_URL: `http://127.0.0.1:${world.port}`,
    TROUPE_NAMESPACE: as,
    TROUPE_KEY: SECRETS[as],
  };
  return run(null, words, { variables, directory });
}
const ok = async (words: string | readonly string[], as: Tenant = 'lab') => {
  const { code, out, err } = await troupe(words, as);
  assert.is(code, 0, `${String(words)}: ${err}`);
  return { out, err };
};

test('a file goes up and comes down again; the same bytes are not sent twice', async () => {
  const bytes = randomBytes(9_000_001);
  writeFileSync(join(directory, 'image'), bytes);
  const first = await ok('artifact upload disk ./image');
  assert.match(first.err, /hashing 100 % of 8\.6 MiB/);
  assert.match(first.err, /sent 100 % of 8\.6 MiB/);
  assert.match(first.out, 'sf://upload/lab/disk');
  await ok('artifact download disk ./copy');
  assert.ok(readFileSync(join(directory, 'copy')).equals(bytes));
  const second = await ok('artifact upload again ./image --json');
  assert.match(second.err, 'nothing was sent');
  const view = JSON.parse(second.out) as View;
  await ok(['blob', 'download', String(view['blob_uuid']), 'by-blob']);
  assert.ok(readFileSync(join(directory, 'by-blob')).equals(bytes));
});

test('a file that is not there, and a copy that fails, leave nothing behind', async () => {
  assert.match((await troupe('artifact upload x ./nothing')).err, 'no such file');
  writeFileSync(join(directory, 'small'), 'small');
  const { out } = await ok('artifact upload gone ./small --json');
  const blob = String((JSON.parse(out) as View)['blob_uuid']);
  world.machine.files.replicas.delete(blob);
  assert.is((await troupe(['blob', 'download', blob, 'broken'])).code, 1);
  assert.not.ok(readdirSync(directory).some((name) => name.startsWith('broken')));
});

test('versions are listed, limited, removed; an artifact of system is shared', async () => {
  for (const content of ['one', 'two', 'three']) {
    writeFileSync(join(directory, 'version'), content);
    await ok('artifact upload many ./version');
  }
  assert.equal(
    (await ok('artifact versions many')).out
      .split('\n')
      .slice(1, -1)
      .map((line) => line[0]),
    ['1', '2', '3'],
  );
  await ok('artifact download many ./second --version 2');
  assert.is(readFileSync(join(directory, 'second'), 'utf8'), 'two');
  assert.match((await troupe('artifact download many ./x --version 9')).err, 'has no version 9');
  assert.match((await ok('artifact max-versions many 2')).out, '2 of 3, 2 are kept');
  assert.match((await ok('artifact delete-version many 2')).out, '1 of 3');
  assert.is((await troupe('artifact delete-version many 9')).code, 1);
  assert.match((await troupe('artifact share many')).err, 'only artifacts in the system namespace');
  await ok('artifact upload common ./version --shared', 'system');
  assert.match((await ok('artifact list')).out, /sf:\/\/upload\/system\/common .* yes/);
  assert.match((await ok('artifact unshare common', 'system')).out, /shared: +no/);
});

test('labels point at blobs; blobs are shown, listed and found', async () => {
  writeFileSync(join(directory, 'labelled'), 'labelled');
  const { out } = await ok('artifact upload labelled ./labelled --json');
  const blob = String((JSON.parse(out) as View)['blob_uuid']);
  assert.match((await ok(['label', 'set', 'golden', blob])).out, 'sf://label/lab/golden');
  assert.match((await ok('label show lab/golden', 'system')).out, blob);
  assert.match((await ok(['label', 'set', 'few', blob, '--max-versions', '1'])).out, '1 are kept');
  const shown = (await ok(['blob', 'show', blob])).out;
  assert.match(shown, /references: +3/);
  const sha512 = /sha512: +(\w+)/.exec(shown)?.[1] ?? '';
  assert.match((await ok(['blob', 'find', sha512])).out, blob);
  assert.is((await troupe(['blob', 'find', '0'.repeat(64)])).code, 1);
  assert.match((await ok('blob list --node n1', 'system')).out, blob);
  await ok('label delete golden');
  assert.is((await troupe('label show golden')).code, 1);
});

test('everything that has metadata is given some, and loses it', async () => {
  await world.network({ name: 'front', netblock: '10.20.0.0/24' });
  const { interfaces } = await world.instance({ network: [{ network_uuid: 'front' }] });
  const [nic] = interfaces as View[];
  writeFileSync(join(directory, 'described'), 'described');
  const { out } = await ok('artifact upload described ./described --json');
  const targets: readonly (readonly [string, string, Tenant])[] = [
    ['instance', 'web', 'lab'],
    ['network', 'front', 'lab'],
    ['interface', String(nic?.['uuid']), 'lab'],
    ['artifact', 'described', 'lab'],
    ['blob', String((JSON.parse(out) as View)['blob_uuid']), 'lab'],
    ['node', 'n1', 'system'],
    ['namespace', 'lab', 'lab'],
  ];
  for (const [noun, ref, as] of targets) {
    await ok([noun, 'set-metadata', ref, 'owner', 'the ops'], as);
    await ok([noun, 'set-metadata', ref, 'list', '["a", 1]', '--value-json'], as);
    assert.is(
      (await ok([noun, 'metadata', ref], as)).out,
      'list:   ["a",1]\nowner:  the ops\n',
      noun,
    );
    await ok([noun, 'delete-metadata', ref, 'owner'], as);
    await ok([noun, 'delete-metadata', ref, 'list'], as);
    assert.match((await ok([noun, 'metadata', ref], as)).err, 'no metadata');
  }
  assert.is((await troupe('instance set-metadata web k {bad --value-json')).code, 2);
});

test('delete-all wants to be sure', async () => {
  assert.is((await troupe('artifact delete-all')).code, 2);
  assert.ok((await ok('artifact delete-all --confirm')).out.split('\n').length > 3);
});

test('what an object was, what changed and why', async () => {
  const { uuid } = await world.network({ name: 'past' });
  await ok('network set-metadata past note old');
  const { revision } = JSON.parse((await ok('network show past --at 0s --json')).out) as View;
  await ok('network set-metadata past note new');
  const before = await ok(`network show past --at ${String(revision)}`);
  assert.match(before.out, /^revision \d+, .+\n\{/);
  assert.match(before.out, '"note": "old"');
  assert.is((await ok(`history show network/past --at ${String(revision)}`)).out, before.out);
  assert.match((await ok(`history show network/${String(uuid)}`)).out, '"note": "new"');
  const changed = await ok(`history diff network/past ${String(revision)}`);
  assert.match(changed.out, /metadata\.note +old +new\n/);
  assert.match((await ok('history diff network/past 0s')).err, 'nothing has changed');
  const why = await ok('history why network/past');
  assert.match(why.out, /gave .*metadata/);
  for (const [words, said] of [
    ['network show past --at yesterday', 'is no revision, date or age'],
    ['history show past', 'should look like instance/web'],
    ['network show past --at 1', 'not'],
  ] as const) {
    const { code, err } = await troupe(words);
    assert.is.not(code, 0, words);
    assert.match(err, said);
  }
});

test.run();
