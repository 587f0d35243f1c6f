// The table of routes: all of the contract, each once; what is missing says so, and is no capability.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { shapeOf } from '../../../src/api/http/capabilities.ts';
import type { Route } from '../../../src/api/http/route.ts';
import { apiRoutes } from '../../../src/api/routes.ts';
import { openApiWorld, type ApiWorld } from '../../support/api-world.ts';
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

test.run();
