// The API's description of itself: a sound OpenAPI 3.1 document that says what the routes do, and the page that shows it.
import { Compile } from 'typebox/compile';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { apiRoutes } from '../../../src/api/routes.ts';
import { openApiWorld, type ApiWorld, type View } from '../../support/api-world.ts';

const test = suite('api: its description');
let world: ApiWorld;
let document: View;
test.before(async () => {
  world = await openApiWorld();
  document = await world.ok('GET', '/openapi.json', { as: null });
});
test.after(() => world.close());

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly tags: readonly string[];
  readonly parameters?: readonly { name: string; in: string; required: boolean; schema: View }[];
  readonly requestBody?: { content: { 'application/json'?: { schema: View } } };
  readonly responses: Readonly<Record<string, View>>;
  readonly security: readonly View[];
}

function operations(): [at: string, operation: Operation][] {
  return Object.entries(document['paths'] as Record<string, Record<string, Operation>>).flatMap(
    ([path, item]) =>
      Object.entries(item).map(([method, one]): [string, Operation] => [`${method} ${path}`, one]),
  );
}

/** Every object inside, with where it is. */
function* inside(value: unknown, at = ''): Generator<[string, View]> {
  if (typeof value !== 'object' || value === null) return;
  if (!Array.isArray(value)) yield [at, value as View];
  for (const [key, member] of Object.entries(value)) yield* inside(member, `${at}/${key}`);
}

function pointed(ref: string): unknown {
  return ref
    .split('/')
    .slice(1)
    .reduce<unknown>((value, key) => (value as View | undefined)?.[key], document);
}

/** With every reference put in place. */
function whole(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(whole);
  if (typeof value !== 'object' || value === null) return value;
  if ('$ref' in value) return whole(pointed(String(value.$ref)));
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, whole(one)]));
}

test('it has an operation for every route, and no other', () => {
  const routes = apiRoutes(world.services).filter(({ path }) => !path.startsWith('/compat/'));
  const there = routes.map(
    ({ method, path }) => `${method.toLowerCase()} ${path.replace(/:(\w+)/g, '{$1}')}`,
  );
  assert.equal(
    operations()
      .map(([at]) => at)
      .toSorted(),
    there.toSorted(),
  );
});

test('references lead somewhere, ids are unique, groups are declared', () => {
  for (const [at, value] of inside(document)) {
    const { $ref } = value;
    if (typeof $ref === 'string') assert.ok(pointed($ref) !== undefined, `${at}: ${$ref}`);
  }
  const ids = operations().map(([, { operationId }]) => operationId);
  assert.is(new Set(ids).size, ids.length);
  const groups = (document['tags'] as { name: string }[]).map(({ name }) => name);
  for (const [at, { tags }] of operations())
    assert.ok(
      tags.every((one) => groups.includes(one)),
      at,
    );
});

test('each variable of a path is a required parameter, and no other', () => {
  for (const [at, { parameters = [] }] of operations()) {
    const variables = [...at.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    const inPath = parameters.filter((one) => one.in === 'path');
    assert.equal(
      inPath.map(({ name }) => name),
      variables,
      at,
    );
    assert.ok(
      inPath.every(({ required }) => required),
      at,
    );
  }
});

test('schemas are of JSON Schema 2020-12: no list of items, every word known', () => {
  const words = new Set(
    [
      'type enum const anyOf properties required additionalProperties items prefixItems description default',
      'minimum maximum minLength maxLength minItems maxItems pattern patternProperties $ref',
    ].flatMap((line) => line.split(' ')),
  );
  const check = (schema: unknown, at: string): void => {
    if (typeof schema === 'boolean') return;
    for (const [word, value] of Object.entries(schema as View)) {
      assert.ok(words.has(word), `${at}: ${word}`);
      if (word === 'items') assert.not.ok(Array.isArray(value), at);
      if (['properties', 'patternProperties'].includes(word)) {
        for (const [name, one] of Object.entries(value as View)) check(one, `${at}/${name}`);
      } else if (['items', 'additionalProperties'].includes(word)) check(value, at);
      else if (['anyOf', 'prefixItems'].includes(word)) {
        for (const one of value as unknown[]) check(one, at);
      }
    }
  };
  const named = (document['components'] as { schemas: View }).schemas;
  for (const [name, schema] of Object.entries(named)) check(schema, name);
  for (const [at, { requestBody, responses }] of operations()) {
    const sent = requestBody?.content['application/json']?.schema;
    if (sent !== undefined) check(sent, at);
    const content = responses['200']?.['content'] as View | undefined;
    const answer = content?.['application/json'] as { schema: unknown } | undefined;
    if (answer !== undefined) check(answer.schema, at);
  }
});

test('what it says of an answer is so', async () => {
  await world.network({ name: 'described' });
  await world.instance({ name: 'described', network: [{ network_uuid: 'described' }] });
  const asked: [path: string, template: string][] = [
    ['/instances', '/instances'],
    ['/instances/described', '/instances/{instance_ref}'],
    ['/networks/described/addresses', '/networks/{network_ref}/addresses'],
    ['/auth/namespaces', '/auth/namespaces'],
    ['/openapi.json', '/openapi.json'],
  ];
  for (const [path, template] of asked) {
    const operation = (document['paths'] as Record<string, { get: Operation }>)[template]?.get;
    const content = operation?.responses['200']?.['content'] as Record<string, { schema: View }>;
    // The checker of these tests knows the older form of tuples.
    const schema = JSON.parse(
      JSON.stringify(whole(content['application/json']?.schema)).replaceAll(
        /"prefixItems":(\[[^\]]*\]),"minItems":\d+,"items":false/g,
        '"items":$1',
      ),
    ) as View;
    const check = Compile(schema);
    const answer = await world.ok<unknown>('GET', path);
    assert.ok(check.Check(answer), `${path}: ${JSON.stringify(check.Errors(answer)[0])}`);
    assert.not.ok(check.Check('something else'), path);
  }
});

test('public routes need no token there, the others one', () => {
  for (const [at, { security }] of operations()) {
    const isPublic =
      /^(get|post) (\/|\/healthz|\/readyz|\/auth|\/openapi.*|\/apispec.*|\/apidocs.*)$/;
    if (/metrics|readyz/.test(at)) continue;
    assert.equal(security, isPublic.test(at) ? [] : [{ token: [] }], at);
  }
});

test('the page loads nothing from elsewhere, and may not', async () => {
  const page = await world.call('GET', '/apidocs/', { as: null });
  assert.is(page.status, 200);
  assert.match(
    String(page.headers['content-security-policy']),
    /default-src 'none'; script-src 'self'/,
  );
  const parts = ['/apidocs/browser.js', '/apidocs/style.css'];
  const texts = await Promise.all(
    parts.map(async (part) => (await world.call('GET', part, { as: null })).text),
  );
  for (const text of [page.text, ...texts]) assert.not.match(text, /(https?:)?\/\/\w+\.\w+/);
  assert.not.match(page.text, /<script(?![^>]* src=)|style=| on\w+=/);
  assert.not.match(texts[0] ?? '', /innerHTML|insertAdjacentHTML|document\.write|outerHTML/);
  const front = await world.call('GET', '/', { as: null });
  assert.match(front.text, /href="apidocs\/"/);
});

test.run();
