// The client's types (src/client/operations.ts), written from the OpenAPI document, and so from the table of routes.
import type { Json, JsonObject } from '../../../actors/kernel/json.ts';

const HEAD = `/* oxlint-disable max-lines */
// The API's routes as types: what each takes and answers. Made from the table of routes by \`npm run client-types\`: not to be
// edited. tests/unit/client/operations.test.ts holds both together.
`;
const REF = '#/components/schemas/';

/** The text of the file, before formatting. */
export function clientTypes(document: JsonObject): string {
  const { schemas = {} } = object(document['components']);
  const views = Object.entries(object(schemas)).map(
    ([name, schema]) => `export interface ${name} ${membersOf(object(schema))}\n`,
  );
  const operations = Object.entries(object(document['paths'])).flatMap(([path, methods]) =>
    Object.entries(object(methods)).map(([method, operation]) =>
      operationType(`${method.toUpperCase()} ${path}`, object(operation)),
    ),
  );
  const table = `/** By method and path; path variables stand in braces. */\nexport interface Operations {\n${operations.join('')}}\n`;
  return [HEAD, ...views, table].join('\n');
}

function operationType(at: string, operation: JsonObject): string {
  const params = variablesOf(at).map((name) => `readonly ${name}: string`);
  const body = object(contentOf(operation['requestBody'])['application/json'])['schema'];
  const responses = object(operation['responses']);
  // A WebSocket is no call.
  if ('101' in responses) return '';
  const answers = contentOf(responses['200']);
  const json = object(answers['application/json'])['schema'];
  const answer = 'application/json' in answers ? typeOf(json) : 'Uint8Array';
  const { summary } = operation;
  return `  /** ${typeof summary === 'string' ? summary : at}. */
  ${JSON.stringify(at)}: {
    readonly params: ${params.length === 0 ? 'Readonly<Record<never, string>>' : `{ ${params.join('; ')} }`};
    readonly body: ${body === undefined ? 'Readonly<Record<never, unknown>>' : typeOf(body)};
    readonly answer: ${answer};
  };
`;
}

function variablesOf(at: string): string[] {
  return [...at.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name);
}

function contentOf(message: Json | undefined): JsonObject {
  return object(object(message)['content']);
}

function typeOf(schema: Json | undefined): string {
  const { $ref, anyOf, enum: values, const: constant, type, items, prefixItems } = object(schema);
  if (typeof $ref === 'string') return $ref.slice(REF.length);
  if (Array.isArray(anyOf)) return unionOf((anyOf as readonly Json[]).map(typeOf));
  if (Array.isArray(values))
    return unionOf((values as readonly Json[]).map((one) => JSON.stringify(one)));
  if (constant !== undefined) return JSON.stringify(constant);
  if (Array.isArray(type))
    return unionOf((type as readonly string[]).map((one) => typeOf({ type: one })));
  if (type === 'array') return arrayOf(items, prefixItems);
  if (type === 'object') return objectType(object(schema));
  return (typeof type === 'string' ? SCALARS[type] : undefined) ?? 'unknown';
}

const SCALARS: Readonly<Record<string, string>> = {
  string: 'string',
  integer: 'number',
  number: 'number',
  boolean: 'boolean',
  null: 'null',
};

function unionOf(types: readonly string[]): string {
  return [...new Set(types)].join(' | ');
}

function arrayOf(items: Json | undefined, prefix: Json | undefined): string {
  if (Array.isArray(prefix))
    return `readonly [${(prefix as readonly Json[]).map(typeOf).join(', ')}]`;
  const item = typeOf(items);
  return `readonly ${/[|&]/.test(item) ? `(${item})` : item}[]`;
}

function objectType(schema: JsonObject): string {
  const { properties, additionalProperties } = schema;
  if (properties !== undefined) return membersOf(schema);
  return `Readonly<Record<string, ${typeOf(additionalProperties)}>>`;
}

function membersOf(schema: JsonObject): string {
  const { properties, required = [], additionalProperties } = schema;
  const members = Object.entries(object(properties)).map(([name, member]) => {
    const mark = (required as readonly Json[]).includes(name) ? '' : '?';
    const { description } = object(member);
    const comment = typeof description === 'string' ? `/** ${description}. */\n` : '';
    return `${comment}readonly ${/^\w+$/.test(name) ? name : JSON.stringify(name)}${mark}: ${typeOf(member)};`;
  });
  if (properties === undefined && additionalProperties !== undefined) {
    members.push(`readonly [key: string]: ${typeOf(additionalProperties)};`);
  }
  return `{\n${members.join('\n')}\n}`;
}

function object(value: Json | undefined): JsonObject {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isObject ? (value as JsonObject) : {};
}
