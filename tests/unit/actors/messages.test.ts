// What daemons of two versions send each other: of every message of every table, what is not known here is left out, at any
// depth, and all the rest is taken as it is.
import { readFileSync, globSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeAgentOperationMessage } from '../../../actors/agent-operation/state.ts';
import { decodeArtifactMessage } from '../../../actors/artifact/state.ts';
import { decodeBlobMessage, decodeHolding } from '../../../actors/blob/state.ts';
import { decodeDiskSnapshotMessage } from '../../../actors/disk-snapshot/state.ts';
import { decodeInstanceMessage } from '../../../actors/instance/state.ts';
import { decodeInterfaceMessage } from '../../../actors/interface/state.ts';
import { decodeMetadataMessage } from '../../../actors/kernel/metadata.ts';
import { closed, received, Type, type TSchema } from '../../../actors/kernel/schema.ts';
import { decodeNamespaceMessage } from '../../../actors/namespace/state.ts';
import { decodeNetworkMessage } from '../../../actors/network/state.ts';
import { decodeMachineMessage } from '../../../actors/node/machine-message.ts';
import { decodeNodeMessage } from '../../../actors/node/state.ts';
import { decodeUploadMessage } from '../../../actors/upload/state.ts';
import { decodeArchiveMessage } from '../../../src/archive/archive-message.ts';

const test = suite('messages between versions');

const TABLES = {
  'agent-operation': decodeAgentOperationMessage,
  archive: decodeArchiveMessage,
  artifact: decodeArtifactMessage,
  blob: decodeBlobMessage,
  'disk-snapshot': decodeDiskSnapshotMessage,
  instance: decodeInstanceMessage,
  interface: decodeInterfaceMessage,
  machine: decodeMachineMessage,
  metadata: decodeMetadataMessage,
  namespace: decodeNamespaceMessage,
  network: decodeNetworkMessage,
  node: decodeNodeMessage,
  upload: decodeUploadMessage,
};

interface Described {
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly properties?: Readonly<Record<string, Described>>;
  readonly patternProperties?: Readonly<Record<string, Described>>;
  readonly items?: Described | readonly Described[];
  readonly anyOf?: readonly Described[];
}

const PLAIN: Readonly<Record<string, unknown>> = {
  string: 'text',
  integer: 1,
  number: 1,
  boolean: true,
  null: null,
};

/** Values that fit, one for each branch of a union; each object in them with `more`. */
function samples(schema: Described, more: object): unknown[] {
  if ('const' in schema) return [schema.const];
  if (schema.enum !== undefined) return [schema.enum[0]];
  if (schema.anyOf !== undefined) return schema.anyOf.flatMap((one) => samples(one, more));
  if (schema.properties !== undefined) return objects(schema.properties, more);
  if (schema.patternProperties !== undefined) {
    return Object.values(schema.patternProperties).flatMap((one) =>
      samples(one, more).map((value) => ({ key: value })),
    );
  }
  if (schema.items !== undefined) return arrays(schema.items, more);
  const { [schema.type ?? '']: value = { any: 'thing' } } = PLAIN;
  return [schema.minimum ?? value];
}

function arrays(items: Described | readonly Described[], more: object): unknown[] {
  if ('length' in items) return [items.map((one) => samples(one, more)[0])];
  return samples(items, more).map((value) => [value]);
}

/** As many as the richest member has values. */
function objects(properties: Readonly<Record<string, Described>>, more: object): unknown[] {
  const members = Object.entries(properties).map(
    ([name, schema]) => [name, samples(schema, more)] as const,
  );
  const count = Math.max(1, ...members.map(([, values]) => values.length));
  return Array.from({ length: count }, (_, n) => ({
    ...Object.fromEntries(members.map(([name, values]) => [name, values[n % values.length]])),
    ...more,
  }));
}

/** Names of the members of no schema. */
const MORE = { addedByANewerVersion: { deep: [1] } };

for (const [table, decode] of Object.entries(TABLES)) {
  test(`${table}: what is not known is left out of every message, whatever else it has stays`, () => {
    const names = Object.keys(decode.shapes);
    assert.ok(names.length > 0);
    for (const [name, members] of Object.entries(decode.shapes)) {
      const schema = closed({ kind: Type.Literal(name), ...members }) as Described;
      const [plain, rich] = [samples(schema, {}), samples(schema, MORE)];
      for (const [n, message] of plain.entries()) {
        assert.equal(decode(message), message, `${name}: a message of this version`);
        const before = structuredClone(rich[n]);
        assert.equal(decode(rich[n]), message, `${name}: one of a newer version`);
        assert.equal(rich[n], before, `${name}: what came is not changed`);
      }
    }
  });
}

test('every table is among these', () => {
  const files = ['actors', 'src', 'transport'].flatMap((dir) => globSync(`${dir}/**/*.ts`));
  const texts = files.map((file) => readFileSync(file, 'utf8'));
  const made = texts.flatMap((text) => text.match(/= messageDecoder\(/g) ?? []);
  assert.is(made.length, Object.keys(TABLES).length);
});

test('a value that does not fit, a member that is missing, and a message of no table are refused', () => {
  const use = { kind: 'use', user: 'artifact/a', ...MORE };
  assert.equal(decodeBlobMessage(use), { kind: 'use', user: 'artifact/a' });
  for (const bad of [
    { ...use, user: 1 },
    { kind: 'use', ...MORE },
    { ...use, kind: 'consume' },
  ])
    assert.throws(() => decodeBlobMessage(bad), /blob/);
});

test('answers are taken alike', () => {
  const held = { content: null, nodes: ['n1'] };
  assert.throws(() => decodeHolding({ ...held, ...MORE }), /holders of a blob\/content/);
  const both: TSchema = Type.Union([
    closed({ kind: Type.Literal('a'), size: Type.Integer() }),
    closed({ kind: Type.Literal('b'), name: Type.String() }),
  ]);
  const decode = received('an answer', Type.Array(both));
  const answer = [
    { kind: 'b', name: 'x' },
    { kind: 'a', size: 1 },
  ];
  assert.equal(decode(answer.map((one) => ({ ...one, ...MORE }))), answer);
});

test.run();
