// What consoles of deleted instances have said, as artifacts (contract: artifacts 10.3).
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { openApiWorld, type ApiWorld, type View } from '../../support/api-world.ts';

const test = suite('console archives');
let world: ApiWorld;
test.before(async () => {
  world = await openApiWorld();
});
test.after(() => world.close());

async function deleted(said: string): Promise<string> {
  const id = String((await world.instance({ disk: [{ size: 1 }] }))['uuid']);
  await world.settled(`/instances/${id}`, 'created');
  if (said !== '') world.machine.consoles.set(id, said);
  await world.ok('DELETE', `/instances/${id}`);
  await world.settled(`/instances/${id}`, 'deleted');
  return id;
}

async function archives(id: string, as: 'lab' | 'system'): Promise<View[]> {
  const all = await world.ok<View[]>('GET', '/artifacts', { as });
  return all.filter((one) => one['source_url'] === `sf://instance/${id}/console`);
}

test('one in its namespace and one in system, of one blob with all that was said', async () => {
  const id = await deleted('login: ');
  const [own = {}] = await archives(id, 'lab');
  await world.settled(`/artifacts/${String(own['uuid'])}`, 'created');
  const all = await archives(id, 'system');
  const shown = all.map(({ namespace, artifact_type: type, max_versions: most }) => {
    return { namespace, type, most };
  });
  assert.equal(
    shown.toSorted((a, b) => (String(a.namespace) < String(b.namespace) ? -1 : 1)),
    [
      { namespace: 'lab', type: 'other', most: 1 },
      { namespace: 'system', type: 'other', most: 1 },
    ],
  );
  const views = await Promise.all(
    all.map(({ uuid }) => world.settled(`/artifacts/${String(uuid)}`, 'created', 'system')),
  );
  const [blob, ...others] = new Set(views.map((view) => String(view['blob_uuid'])));
  assert.equal(others, []);
  const { text } = await world.call('GET', `/blobs/${blob}/data`);
  assert.is(text, 'login: ');
});

test('of one that has said nothing there is none', async () => {
  assert.equal(await archives(await deleted(''), 'system'), []);
});

test('one that cannot be read holds up no deletion', async () => {
  world.machine.consoleFailure = new TroupeError('object/not-found', 'there is no such file');
  const id = await deleted('lost');
  world.machine.consoleFailure = undefined;
  assert.equal(await archives(id, 'system'), []);
});

test.run();
