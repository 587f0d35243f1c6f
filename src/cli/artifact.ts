// `troupe artifact`: images that instances start from.
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { View } from '../client/client.ts';
import type { Command } from './command.ts';
import { deleteAllCommand } from './delete-all.ts';
import { eventsCommand } from './event-command.ts';
import { size } from './format.ts';
import { deleteObject, listCommand, printView, showCommand } from './object-command.ts';
import { fields, isView, metadataText, table, text, type Column } from './table.ts';
import { awaitGoal, WAIT_FLAGS } from './wait.ts';

interface Version {
  readonly index: string;
  readonly blob: View;
}

const COLUMNS: readonly Column<View>[] = [
  ['UUID', (one) => text(one, 'uuid')],
  ['NAMESPACE', (one) => text(one, 'namespace')],
  ['TYPE', (one) => text(one, 'artifact_type')],
  ['SOURCE', (one) => text(one, 'source_url')],
  ['VERSIONS', (one) => `${versions(one).length} of ${text(one, 'index')}`],
  ['SIZE', (one) => sizeText(versions(one).at(-1)?.blob)],
  ['SHARED', (one) => (one['shared'] === true ? 'yes' : 'no')],
  ['STATE', (one) => text(one, 'state')],
];

const VERSION_COLUMNS: readonly Column<Version>[] = [
  ['VERSION', ({ index }) => index],
  ['BLOB', ({ blob }) => text(blob, 'uuid')],
  ['SIZE', ({ blob }) => sizeText(blob)],
  ['USED BY', ({ blob }) => (Array.isArray(blob['instances']) ? blob['instances'].join(' ') : '')],
];

const cache: Command = {
  name: 'artifact cache',
  aliases: ['artifact create'],
  summary: 'Fetch an image, so that instances can start from it',
  args: ['URL'],
  flags: {
    shared: { type: 'boolean', help: 'for all namespaces (system only)' },
    namespace: { type: 'string', value: 'NAME', help: 'whose it will be (default: the login)' },
    checksum: {
      type: 'string',
      value: 'sha256:HEX',
      help: 'what its bytes have to hash to (or sha512:HEX)',
    },
    ...WAIT_FLAGS,
  },
  examples: [
    'troupe artifact cache https://example.org/debian-12.qcow2',
    'troupe artifact cache ./guest.qcow2',
  ],
  notes:
    'URL is http(s), or a file of the node, which only system may use. An image that is there already is fetched again only when its source has changed. With --checksum it is one of its own, `URL#sha256=HEX`, and never changes.',
  run: async (call) => {
    const { args, flags, world } = call;
    const [namespace, checksum] = [flags.text('namespace'), flags.text('checksum')];
    const view = await call.client().view('POST', '/artifacts', {
      url: imageUrl(args[0] ?? '', world.directory),
      shared: flags.is('shared'),
      ...(namespace === undefined ? {} : { namespace }),
      ...(checksum === undefined ? {} : { checksum }),
    });
    const made = await awaitGoal(call, { noun: 'artifact', goal: 'created', view });
    printView(call, made, artifactText);
  },
};

export const ARTIFACT_COMMANDS: readonly Command[] = [
  listCommand('artifact', COLUMNS),
  showCommand('artifact', artifactText),
  cache,
  {
    name: 'artifact delete',
    summary: 'Remove an image; instances made from it keep their disks',
    args: ['REF'],
    flags: WAIT_FLAGS,
    examples: ['troupe artifact delete UUID'],
    run: (call) => deleteObject(call, 'artifact'),
  },
  deleteAllCommand('artifact'),
  eventsCommand('artifact'),
];

/** A path is a file of this machine, in the form that the API takes. */
function imageUrl(given: string, directory: string): string {
  return /^\.{0,2}\//.test(given) ? pathToFileURL(resolve(directory, given)).href : given;
}

export function artifactText(one: View): string {
  const found = versions(one);
  const summary = fields([
    ['uuid', text(one, 'uuid')],
    ['namespace', text(one, 'namespace')],
    ['state', text(one, 'state')],
    ['type', text(one, 'artifact_type')],
    ['source', text(one, 'source_url')],
    ['shared', one['shared'] === true ? 'yes' : 'no'],
    ['versions', `${found.length} of ${text(one, 'index')}, ${text(one, 'max_versions')} are kept`],
    ['copies', one['copies'] === undefined ? 'as many as the cluster keeps' : text(one, 'copies')],
    ['metadata', metadataText(one)],
  ]);
  return found.length === 0 ? summary : `${summary}\n${table(found, VERSION_COLUMNS)}`;
}

/** Oldest first. */
function versions(one: View): Version[] {
  return Object.entries(isView(one['blobs']) ? one['blobs'] : {})
    .flatMap(([index, blob]) => (isView(blob) ? [{ index, blob }] : []))
    .sort((a, b) => Number(a.index) - Number(b.index));
}

function sizeText(blob: View | undefined): string {
  return typeof blob?.['size'] === 'number' ? size(blob['size']) : '';
}
