// The table of routes: all of the contract, each once; what is missing says so, and is no capability.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { capabilities, shapeOf } from '../../../src/api/http/capabilities.ts';
import type { Route, Rule } from '../../../src/api/http/route.ts';
import { apiRoutes } from '../../../src/api/routes.ts';
import { openApiWorld, type ApiWorld, type View } from '../../support/api-world.ts';
import { CONTRACT_ROUTES } from './contract-routes.ts';

const test = suite('api: the table of routes');
let world: ApiWorld;
let routes: Route[];
test.before(async () => {
  world = await openApiWorld();
  routes = apiRoutes(world.services);
});
test.after(() => world.close());

const shape = ({ method, path }: Route) => shapeOf(`${method} ${path}`);

test('every route of the contract is there', () => {
  const there = new Set(routes.map(shape));
  assert.equal(
    CONTRACT_ROUTES.filter((one) => !there.has(one)),
    [],
  );
});

test('no route is there twice: a feature that has arrived takes its row of src/api/not-yet.ts away', () => {
  const shapes = routes.map(shape);
  assert.equal(
    shapes.filter((one, index) => shapes.indexOf(one) !== index),
    [],
  );
});

test('a route whose feature is missing answers 501 and names it, to who has a token', async () => {
  const missing = routes.filter((one) => one.missing !== null);
  for (const { method, path, missing: feature } of missing) {
    const at = path.replace(/:\w+/g, 'x');
    const { status, json } = await world.call(method, at, { as: 'system', body: { x: 1 } });
    assert.is(status, 501, `${method} ${path}`);
    assert.equal(json, { error: `not there yet: ${feature}`, status: 501 });
    assert.is((await world.call(method, at, { as: null })).status, 401);
  }
});

test('every route says in a sentence what it does', () => {
  for (const { method, path, summary } of routes) {
    assert.match(summary, /^[A-Z`].{5,118}[^.]$/, `${method} ${path}: ${summary}`);
  }
});

/** Of the contract (conventions 2.2), and `blob-events` of clients since; left out are those that no client may see, or that nothing stands behind. */
const WORDS =
  'cluster-cacert cluster-resources agentoperations-crud instance-agentoperations instance-agentoperations-all ' +
  'artifact-metadata artifact-upload-types blob-events blob-metadata blob-search-by-hash blob-hash-sha1 ' +
  'blob-hash-sha256 blob-hash-xxh128 events-by-type pure-affinity ' +
  'spice-vdi-console vdi-console-helper instance-put-blob instance-execute instance-get instance-screenshot ' +
  'get-instance-namespace hot-plug-interface list-addresses route-addresses get-network-namespace provide-dns ' +
  'extra-dns-entries interface-metadata node-get node-metadata node-process-metrics';

test('a capability is said when all its routes work, and as soon as they do', async () => {
  const said = (of: readonly Route[]) => capabilities(of).flatMap(([, words]) => words);
  const working = routes.map((one) => ({ ...one, missing: null }));
  assert.equal(said(working).toSorted(), WORDS.split(' ').toSorted());
  const without = working.map((one) =>
    shape(one) === 'DELETE /networks/*/dns' ? { ...one, missing: 'DNS entries' } : one,
  );
  assert.equal(
    said(working).filter((word) => !said(without).includes(word)),
    ['extra-dns-entries'],
  );
  const { text } = await world.call('GET', '/', { as: null });
  for (const word of said(routes)) assert.ok(text.includes(word), word);
});

/** What is there of the other tenant's, by the variable that names it. */
async function theirs(): Promise<Record<string, string>> {
  const as = 'other';
  const network = await world.network({ name: 'theirs' }, as);
  const networks = [{ network_uuid: network['uuid'] }];
  const instance = await world.instance({ name: 'theirs', network: networks }, as);
  const [nic] = instance['interfaces'] as View[];
  const body = { url: 'http://images.test/theirs' };
  const artifact = await world.ok('POST', '/artifacts', { as, body });
  await world.settled(`/artifacts/${String(artifact['uuid'])}`, 'created', as);
  return {
    instance_ref: String(instance['uuid']),
    network_ref: String(network['uuid']),
    interface_uuid: String(nic?.['uuid']),
    artifact_ref: String(artifact['uuid']),
    namespace: 'other',
  };
}

/** Deletes last, those of parts before those of the whole. */
function order({ method, path }: Route): number {
  return method === 'DELETE' ? 100 - path.split('/').length : 0;
}

test('a rule that a row tells is the one that is kept, without trust and with it', async () => {
  const named = await theirs();
  const about = routes
    .filter(({ path, missing }) => {
      const [, first = ''] = /:(\w+)/.exec(path) ?? [];
      return missing === null && first in named;
    })
    .toSorted((a, b) => order(a) - order(b));
  const hidden = /^(instance|network|interface|artifact|namespace) not found$/;
  const seenBy = async ({ method, path }: Route) => {
    const at = path.replace(/:(\w+)/g, (_, name: string) => named[name] ?? 'x');
    const { status, json } = await world.call(method, at, { as: 'lab' });
    const { error } = (json ?? {}) as View;
    if (status === 401) return 'refused';
    return status === 404 && hidden.test(String(error)) ? 'hidden' : 'seen';
  };
  assert.ok(about.length > 100);
  for (const one of about) {
    const wanted = one.access === 'system' ? 'refused' : 'hidden';
    assert.is(await seenBy(one), wanted, `${one.method} ${one.path}: ${one.rule}`);
  }
  const trust = { as: 'other', body: { external_namespace: 'lab' } } as const;
  await world.ok('POST', '/auth/namespaces/other/trust', trust);
  const wanted = new Map<Rule, string>([
    ['own', 'hidden'],
    ['trusted', 'seen'],
    ['read', 'seen'],
  ]);
  for (const one of about) {
    const { rule } = one;
    // What takes the trust away again, and what ends the key of the test.
    if (one.method === 'DELETE' && /trust|keys/.test(one.path)) continue;
    const expected = one.access === 'system' ? 'refused' : wanted.get(rule);
    assert.is(await seenBy(one), expected, `${one.method} ${one.path}: ${rule}`);
  }
});

test.run();
