// `troupe cluster init`, `troupe node invite` and `troupe node join`: on the machine itself, as root, before and beside
// its daemon. They read and write the data directory; no API is asked.
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { randomUUID } from 'node:crypto';
import { clusterFiles } from '../cluster/files.ts';
import { initCluster, ownAddress } from '../cluster/init.ts';
import { invite, readInvitation } from '../cluster/invitation.ts';
import { joinCluster } from '../cluster/join.ts';
import { readConfig, type Config } from '../config.ts';
import type { Call, Command, FlagTable } from './command.ts';
import { CliError } from './failure.ts';
import { jsonText } from './screen-text.ts';

const DATA_DIR: FlagTable = {
  'data-dir': {
    type: 'string',
    value: 'PATH',
    help: "the daemon's data directory (default .troupe of this clone; installed, /var/lib/troupe)",
  },
};
const NODE: FlagTable = {
  node: { type: 'string', value: 'NAME', help: "this machine's name (default: its host name)" },
};
const PORT: FlagTable = {
  port: { type: 'string', value: 'PORT', help: 'where others reach it (default 13010)' },
};
const INVITATION_DAYS = 2;

const init: Command = {
  name: 'cluster init',
  summary: 'Make this machine the first of a cluster',
  args: [],
  flags: {
    ...DATA_DIR,
    ...NODE,
    cluster: { type: 'string', value: 'NAME', help: 'name of the cluster (default troupe)' },
    address: {
      type: 'string',
      value: 'ADDRESS',
      help: 'by which others reach it (default: its only one)',
    },
    ...PORT,
  },
  examples: ['troupe cluster init', 'troupe cluster init --address 10.0.0.1'],
  notes:
    'Makes the authorities that sign certificates, below the data directory: keep a copy. What the machine already runs stays. Start its daemon (again) afterwards.',
  run: async (call) => {
    const { dataDir, node, cluster, mesh } = configOf(call);
    const address = { ...meshOf(call), host: mesh?.host ?? ownAddress() };
    await initCluster({ dataDir, node, cluster, address });
    if (call.flags.is('json')) {
      return call.print(`${jsonText({ dataDir, node, cluster, address })}\n`);
    }
    return call.say(
      `${node} is the first node of cluster ${cluster}, at ${address.host} port ${address.port}. Start its daemon (again); then \`troupe node invite\` prints what the next machine joins with`,
    );
  },
};

const inviteNode: Command = {
  name: 'node invite',
  summary: 'Print what one more machine joins the cluster with',
  args: [],
  flags: {
    ...DATA_DIR,
    for: {
      type: 'string',
      value: 'NAME',
      help: 'a node that is made anew, and keeps its name',
    },
  },
  examples: ['troupe node invite', 'troupe node invite --for n3'],
  notes: `On the machine where \`troupe cluster init\` was run. Good for one machine and ${INVITATION_DAYS} days; whoever reads it can join in its place.`,
  run: async (call) => {
    const { dataDir, mesh: address } = configOf(call, ['data-dir']);
    if (address === null) {
      const message = `this machine (${dataDir}) is in no cluster yet`;
      throw new CliError(message, { wayOut: 'make one with `troupe cluster init`' });
    }
    const terms = { address, days: INVITATION_DAYS, node: call.flags.text('for') ?? null };
    const invitation = await invite(clusterFiles(dataDir), terms, randomUUID());
    return call.print(call.flags.is('json') ? `${jsonText({ invitation })}\n` : `${invitation}\n`);
  },
};

const joinNode: Command = {
  name: 'node join',
  summary: 'Make this machine a node of the cluster that invited it',
  args: ['INVITATION'],
  flags: {
    ...DATA_DIR,
    ...NODE,
    address: {
      type: 'string',
      value: 'ADDRESS',
      help: 'by which others reach it (default: the one from which it reaches them)',
    },
    ...PORT,
  },
  examples: ['troupe node join INVITATION', 'troupe node join INVITATION --node n2'],
  notes:
    'INVITATION is the line that `troupe node invite` printed. The daemon of the node that printed it has to run. Start the daemon of this machine afterwards.',
  run: async (call) => {
    const { dataDir, node } = configOf(call, ['data-dir', 'node']);
    const invitation = readInvitation(call.args[0] ?? '');
    const address = call.flags.text('address') ?? null;
    const { port } = meshOf(call);
    const mesh = await joinCluster(invitation, { dataDir, node, address, port });
    if (call.flags.is('json')) return call.print(`${jsonText({ dataDir, node, mesh })}\n`);
    return call.say(
      `${node} is a node of the cluster, at ${mesh.host} port ${mesh.port}. Start its daemon now`,
    );
  },
};

/** The daemon's own configuration, with the settings that these flags stand for. */
function configOf(
  call: Call,
  names: readonly string[] = ['data-dir', 'node', 'cluster', 'address', 'port'],
): Config {
  const settings: Record<string, string> = { address: 'mesh-address', port: 'mesh-port' };
  const given = names.flatMap((name) => {
    const value = name === 'data-dir' ? dataDirOf(call) : call.flags.text(name);
    return value === undefined ? [] : [`--${settings[name] ?? name}`, value];
  });
  const { variables, directory } = call.world;
  return readConfig({ flags: given, variables, directory });
}

function meshOf(call: Call): { host: string; port: number } {
  const port = call.flags.number('port', 1) ?? 13_010;
  return { host: '', port };
}

function dataDirOf({ flags, world }: Call): string {
  const given = flags.text('data-dir') ?? world.variables['TROUPE_DATA_DIR'];
  if (given !== undefined) return resolve(world.directory, given);
  // As deploy/start.sh has it, also before the first start.
  const isClone = existsSync(join(world.checkout, 'deploy', 'start.sh'));
  return isClone ? join(world.checkout, '.troupe') : world.systemDirectory;
}

export const CLUSTER_COMMANDS: readonly Command[] = [init, inviteNode, joinNode];
