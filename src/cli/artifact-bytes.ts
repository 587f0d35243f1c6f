// `troupe artifact upload` and `download`, versions and sharing; `troupe blob` and `troupe label`.
import type { View } from '../client/client.ts';
import { artifactText } from './artifact.ts';
import type { Call, Command } from './command.ts';
import { CliError } from './failure.ts';
import { wholeNumber } from './flags.ts';
import { dateTime, size } from './format.ts';
import { objectPath, segment } from './object-path.ts';
import { printView } from './object-command.ts';
import { jsonText } from './screen-text.ts';
import { fields, isView, metadataText, table, text, type Column } from './table.ts';
import { bringFile, fetchBlob } from './transfer.ts';

const artifactPath = (call: Call): string => objectPath('artifact', call.args[0] ?? '');

const upload: Command = {
  name: 'artifact upload',
  summary: 'Make a file a new version of an artifact',
  args: ['NAME', 'FILE'],
  flags: {
    namespace: { type: 'string', value: 'NAME', help: 'whose it will be (default: the login)' },
    shared: { type: 'boolean', help: 'for all namespaces (system only)' },
    type: { type: 'string', value: 'TYPE', help: '`image` (unless told) or `other`' },
    'source-url': { type: 'string', value: 'URL', help: 'the URL that it stands for' },
  },
  examples: ['troupe artifact upload debian ./debian-12.qcow2'],
  notes: 'Nothing is sent when the cluster has these bytes already.',
  run: async (call) => {
    const [name = '', file = ''] = call.args;
    const { flags } = call;
    const brought = await bringFile(call, file);
    if (brought.blob_uuid !== undefined) call.say('its bytes are there already: nothing was sent');
    const given = Object.entries({
      namespace: flags.text('namespace'),
      artifact_type: flags.text('type'),
      source_url: flags.text('source-url'),
    }).filter(([, value]) => value !== undefined);
    const body = { ...brought, shared: flags.is('shared'), ...Object.fromEntries(given) };
    const made = await call.client().view('POST', `/artifacts/upload/${segment(name)}`, body);
    printView(call, made, artifactText);
  },
};

const download: Command = {
  name: 'artifact download',
  summary: "Write the newest version's bytes to a file",
  args: ['REF', 'FILE'],
  flags: { version: { type: 'string', value: 'N', help: 'an older version' } },
  examples: ['troupe artifact download debian ./copy.qcow2'],
  notes: 'The file has its name once it is whole and its hash is right.',
  run: async (call) => {
    const artifact = await call.client().view('GET', artifactPath(call));
    const index = call.flags.number('version', 1);
    const id = blobOf(artifact, index);
    const what = index === undefined ? 'version to download' : `version ${index}`;
    if (id === '') throw new CliError(`artifact ${call.args[0]} has no ${what}`);
    await downloadBlob(call, id, call.args[1] ?? '');
  },
};

/** Empty: there is no such version. */
function blobOf(artifact: View, index: number | undefined): string {
  if (index === undefined) return text(artifact, 'blob_uuid');
  const versions = isView(artifact['blobs']) ? artifact['blobs'] : {};
  const blob = versions[String(index)];
  return isView(blob) ? text(blob, 'uuid') : '';
}

async function downloadBlob(call: Call, id: string, file: string): Promise<void> {
  const blob = await call.client().view('GET', `/blobs/${segment(id)}`);
  await fetchBlob(call, blob, file);
  if (call.flags.is('json')) return call.print(`${jsonText(blob)}\n`);
  call.say(`${size(Number(blob['size']))} written to ${file}`);
}

const BLOB_COLUMNS: readonly Column<View>[] = [
  ['UUID', (one) => text(one, 'uuid')],
  ['STATE', (one) => text(one, 'state')],
  ['SIZE', (one) => size(Number(one['size']))],
  ['FORMAT', (one) => text(one, 'file format')],
  ['REFERENCES', (one) => text(one, 'reference_count')],
  ['NODES', (one) => listText(one['locations'])],
];
const VERSION_COLUMNS: readonly Column<View>[] = [
  ['VERSION', (one) => text(one, 'index')],
  ...BLOB_COLUMNS,
  ['USED BY', (one) => listText(one['instances'])],
];

const versions: readonly Command[] = [
  {
    name: 'artifact versions',
    summary: 'List the versions of an artifact',
    args: ['REF'],
    flags: {},
    examples: ['troupe artifact versions debian'],
    run: async (call) => {
      const found = await call.client().list(`${artifactPath(call)}/versions`);
      if (call.flags.is('json')) return call.print(`${jsonText(found)}\n`);
      return call.print(table(found, VERSION_COLUMNS));
    },
  },
  {
    name: 'artifact delete-version',
    summary: 'Remove a version; the last one takes the artifact along',
    args: ['REF', 'VERSION'],
    flags: {},
    examples: ['troupe artifact delete-version debian 3'],
    run: async (call) => {
      const index = wholeNumber(call.args[1] ?? '', 'VERSION', 1);
      const path = `${artifactPath(call)}/versions/${index}`;
      printView(call, await call.client().view('DELETE', path), artifactText);
    },
  },
  {
    name: 'artifact max-versions',
    summary: 'Set how many versions of an artifact are kept; older ones go',
    args: ['REF', 'COUNT'],
    flags: {},
    examples: ['troupe artifact max-versions debian 5'],
    run: async (call) => {
      const count = wholeNumber(call.args[1] ?? '', 'COUNT', 1);
      await call.client().call('POST', `${artifactPath(call)}/versions`, { max_versions: count });
      printView(call, await call.client().view('GET', artifactPath(call)), artifactText);
    },
  },
  {
    name: 'artifact copies',
    summary: 'Set how many nodes are to keep each version of an artifact',
    args: ['REF', 'COUNT'],
    flags: {},
    examples: ['troupe artifact copies debian 3', 'troupe artifact copies debian default'],
    run: async (call) => {
      const [, given = ''] = call.args;
      const copies = given === 'default' ? null : wholeNumber(given, 'COUNT', 1);
      await call.client().call('POST', `${artifactPath(call)}/copies`, { copies });
      printView(call, await call.client().view('GET', artifactPath(call)), artifactText);
    },
  },
  sharing('share', 'Let every namespace use an artifact of the system namespace'),
  sharing('unshare', 'Let only its own namespace, and who that trusts, use an artifact'),
];

function sharing(verb: string, summary: string): Command {
  return {
    name: `artifact ${verb}`,
    summary,
    args: ['REF'],
    flags: {},
    examples: [`troupe artifact ${verb} debian`],
    run: async (call) =>
      printView(
        call,
        await call.client().view('POST', `${artifactPath(call)}/${verb}`),
        artifactText,
      ),
  };
}

const blobs: readonly Command[] = [
  {
    name: 'blob list',
    summary: 'List the blobs that artifacts and instances are made of',
    args: [],
    flags: { node: { type: 'string', value: 'NODE', help: 'only those that this machine holds' } },
    examples: ['troupe blob list', 'troupe blob list --node n2'],
    notes: 'For the system namespace only.',
    run: async (call) => {
      const node = call.flags.text('node');
      const found = await call.client().list('/blobs', node === undefined ? {} : { node });
      if (call.flags.is('json')) return call.print(`${jsonText(found)}\n`);
      if (found.length === 0) return call.say('no blobs');
      return call.print(table(found, BLOB_COLUMNS));
    },
  },
  {
    name: 'blob show',
    summary: 'Show all about one blob',
    args: ['UUID'],
    flags: {},
    examples: ['troupe blob show UUID'],
    run: async (call) => {
      const path = `/blobs/${segment(call.args[0] ?? '')}`;
      printView(call, await call.client().view('GET', path), blobText);
    },
  },
  {
    name: 'blob find',
    summary: 'Show the blob that has this hash',
    args: ['HASH'],
    flags: {},
    examples: ['troupe blob find SHA512'],
    notes: 'HASH is a SHA-512 or a SHA-256, in hex.',
    run: async (call) => {
      const [hash = ''] = call.args;
      const algorithm = hash.length === 64 ? 'sha256' : 'sha512';
      const found = await call
        .client()
        .call('GET', `/blob_checksums/${algorithm}/${segment(hash)}`);
      if (!isView(found)) throw new CliError(`no blob has the ${algorithm} ${hash}`);
      printView(call, found, blobText);
    },
  },
  {
    name: 'blob download',
    summary: "Write a blob's bytes to a file",
    args: ['UUID', 'FILE'],
    flags: {},
    examples: ['troupe blob download UUID ./copy'],
    run: (call) => downloadBlob(call, call.args[0] ?? '', call.args[1] ?? ''),
  },
];

const labels: readonly Command[] = [
  {
    name: 'label set',
    aliases: ['label update'],
    summary: 'Point a label at a blob: a new version of it',
    args: ['NAME', 'BLOB'],
    flags: {
      'max-versions': {
        type: 'string',
        value: 'COUNT',
        help: 'how many versions a new label keeps (3)',
      },
    },
    examples: ['troupe label set golden BLOB', 'troupe label set lab/golden BLOB'],
    notes: 'NAME may begin with a namespace that trusts the login.',
    run: async (call) => {
      const count = call.flags.number('max-versions', 1);
      const body = {
        blob_uuid: call.args[1],
        ...(count === undefined ? {} : { max_versions: count }),
      };
      printView(call, await call.client().view('POST', labelPath(call), body), artifactText);
    },
  },
  {
    name: 'label show',
    summary: 'Show all about one label',
    args: ['NAME'],
    flags: {},
    examples: ['troupe label show golden'],
    run: async (call) =>
      printView(call, await call.client().view('GET', labelPath(call)), artifactText),
  },
  {
    name: 'label delete',
    summary: 'Delete a label; the blobs it points at may stay',
    args: ['NAME'],
    flags: {},
    examples: ['troupe label delete golden'],
    run: async (call) => {
      const view = await call.client().view('DELETE', labelPath(call));
      printView(call, view, () => `label ${call.args[0]} is deleted\n`);
    },
  },
];

export const ARTIFACT_BYTES_COMMANDS: readonly Command[] = [
  upload,
  download,
  ...versions,
  ...blobs,
  ...labels,
];

function labelPath({ args: [name = ''] }: Call): string {
  return `/label/${name.split('/').map(segment).join('/')}`;
}

function blobText(one: View): string {
  return fields([
    ['uuid', text(one, 'uuid')],
    ['state', text(one, 'state')],
    ['size', size(Number(one['size']))],
    ['format', text(one, 'file format')],
    ['type', text(one, 'mime-type')],
    ['virtual size', typeof one['virtual size'] === 'number' ? size(one['virtual size']) : ''],
    ['sha512', text(one, 'sha512')],
    ['fetched', dateTime(Number(one['fetched_at']) * 1000)],
    ['references', text(one, 'reference_count')],
    ['nodes', listText(one['locations'])],
    ['instances', listText(one['instances'])],
    ['metadata', metadataText(one)],
  ]);
}

function listText(value: unknown): string {
  return Array.isArray(value) ? value.join(' ') : '';
}
