// The table of routes as an OpenAPI 3.1 document. Nothing is said here that a row does not say: the router, the checks and
// this read the same one.
import { STATUS_CODES } from 'node:http';
import type { Json, JsonObject } from '../../../actors/kernel/json.ts';
import { closed, Type, type TSchema } from '../../../actors/kernel/schema.ts';
import type { Access, AnswerShape, Route, Rule } from '../http/route.ts';
import { memberNote } from './members.ts';
import { NAMED } from './names.ts';
import { Schemas } from './portable.ts';

const ErrorBody = closed({
  error: Type.Unknown({ description: 'A sentence; seldom an object' }),
  status: Type.Integer({ description: 'The same as of the answer' }),
});

const RULES: Readonly<Record<string, string>> = {
  public: 'Anybody, without a token.',
  any: 'Any valid token.',
  system: 'A token of the `system` namespace.',
  monitor: 'From the same machine, or with a token of the system namespace.',
  own: "The object's own namespace, and `system`; to others it does not exist.",
  trusted: 'The namespace, those that it trusts, and `system`; to others it does not exist.',
  read: 'The namespace, those that it trusts, and `system`; everybody where it is shared.',
} satisfies Record<Rule, string>;

const TOKEN = { token: [] };
/** None; one; one where the setting asks for it. */
const SECURITY = {
  public: [],
  any: [TOKEN],
  system: [TOKEN],
  monitor: [{}, TOKEN],
} as const satisfies Record<Access, Json>;

const ABOUT =
  'Requests carry a JSON object, also with GET and DELETE. Log in with `POST /auth`, then send `Authorization: Bearer TOKEN`. ' +
  'Success is always 200; an answer without content is `null`. Every answer carries `X-Request-ID`. ' +
  'What is sent again with the same `Idempotency-Key` makes nothing twice. ' +
  'A reference (`…_ref`) is a UUID or a name.';

export interface ApiIdentity {
  readonly version: string;
  /** What stands before every path: `` or `/compat/0.4`. */
  readonly base: string;
}

export function openApiDocument(routes: readonly Route[], { version, base }: ApiIdentity) {
  const schemas = new Schemas(NAMED);
  const paths: Record<string, JsonObject> = {};
  for (const route of routes) {
    const path = templateOf(route.path);
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(route, schemas) };
  }
  const statuses = new Set(routes.flatMap(({ errors }) => errors));
  const responses = [...statuses].map((status) => [String(status), refusal(status)] as const);
  return {
    openapi: '3.1.1',
    info: { title: 'Troupe', version, description: ABOUT },
    servers: [{ url: base === '' ? '/' : base }],
    tags: [...new Set(routes.map(tagOf))].map((name) => ({ name })),
    paths,
    components: {
      schemas: { ...schemas.components, Error: schemas.of(ErrorBody) },
      responses: Object.fromEntries(responses),
      securitySchemes: { token: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
    },
  } satisfies JsonObject;
}

function operation(route: Route, schemas: Schemas): JsonObject {
  const { method, path, summary, rule, missing, access } = route;
  const parameters = [
    ...[...path.matchAll(/:(\w+)/g)].map(([, name = '']) => pathParameter(name)),
    ...Object.entries(route.query).map(([name, schema]) =>
      queryParameter(name, schemas.of(schema)),
    ),
  ];
  return {
    operationId: `${method.toLowerCase()}${path.replace(/\W+/g, '_')}`,
    tags: [tagOf(route)],
    summary,
    description: RULES[rule] ?? rule,
    security: SECURITY[access],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...requestBody(route, schemas),
    responses: {
      ...(missing === null ? success(route.answer, schemas) : {}),
      ...Object.fromEntries(
        route.errors.map((status) => [
          String(status),
          { $ref: `#/components/responses/${status}` },
        ]),
      ),
    },
    ...(missing === null ? {} : { 'x-troupe-missing': missing }),
  };
}

function pathParameter(name: string): JsonObject {
  const what = name.replace(/_(ref|uuid)$/, '').replaceAll('_', ' ');
  const ref = name.endsWith('_ref') ? `UUID or name of the ${what}` : null;
  const uuid = name.endsWith('_uuid') ? `UUID of the ${what}` : null;
  return {
    name,
    in: 'path',
    required: true,
    description: ref ?? uuid ?? `The ${what}`,
    schema: { type: 'string', minLength: 1 },
  };
}

function queryParameter(name: string, schema: JsonObject): JsonObject {
  return { name, in: 'query', schema };
}

/** Everything may be left out as far as the schema goes: what is needed, and when, the handler's texts say. */
function requestBody({ path, body, takesBytes }: Route, schemas: Schemas): JsonObject {
  if (takesBytes) return { requestBody: { content: { 'application/octet-stream': {} } } };
  if (Object.keys(body).length === 0) return {};
  const properties = Object.entries(body).map(([name, schema]) => {
    const note = memberNote(path, name);
    const shown = note?.schema !== undefined && saysNothing(schema) ? note.schema : schema;
    const described = schemas.of(shown);
    return [name, note === undefined ? described : { ...described, description: note.description }];
  });
  const schema = {
    type: 'object',
    properties: Object.fromEntries(properties) as JsonObject,
    additionalProperties: false,
  };
  return { requestBody: { content: { 'application/json': { schema } } } };
}

/** Takes anything, or a list of anything. */
function saysNothing(schema: TSchema): boolean {
  const { anyOf, items } = schema as { anyOf?: readonly TSchema[]; items?: TSchema };
  if (items !== undefined) return saysNothing(items);
  if (anyOf !== undefined) return anyOf.some(saysNothing);
  return !('type' in schema) && !('const' in schema) && !('enum' in schema);
}

function success(shape: AnswerShape, schemas: Schemas): JsonObject {
  if ('upgrade' in shape) return { 101: { description: 'It goes on as a WebSocket' } };
  if ('bytes' in shape) return { 200: { description: 'Done', content: { [shape.bytes]: {} } } };
  const schema = schemas.of(shape.json);
  return { 200: { description: 'Done', content: { 'application/json': { schema } } } };
}

function refusal(status: number): JsonObject {
  const schema = { $ref: '#/components/schemas/Error' };
  const description = STATUS_CODES[status] ?? String(status);
  return { description, content: { 'application/json': { schema } } };
}

function templateOf(path: string): string {
  return path.replace(/:(\w+)/g, '{$1}');
}

/** The first word of the path that says what it is about. */
function tagOf({ path }: Route): string {
  const [first = '', second] = path.split('/').slice(1);
  if (first === 'auth' && second === 'namespaces') return 'namespaces';
  return GROUPS[first] ?? first;
}

const GROUPS: Readonly<Record<string, string>> = {
  '': 'service',
  healthz: 'service',
  readyz: 'service',
  metrics: 'service',
  auth: 'service',
  'openapi.json': 'service',
  'apispec_1.json': 'service',
  apidocs: 'service',
  agentoperations: 'agent operations',
  blob_checksums: 'blobs',
  label: 'labels',
  upload: 'uploads',
  stuck: 'actors',
  images: 'artifacts',
};
