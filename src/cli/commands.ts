// Every command there is.
import { ACTOR_COMMANDS } from './actor.ts';
import { ARTIFACT_BYTES_COMMANDS } from './artifact-bytes.ts';
import { METADATA_COMMANDS } from './metadata-command.ts';
import { AGENT_OPERATION_COMMANDS } from './agent-operation-commands.ts';
import { ARTIFACT_COMMANDS } from './artifact.ts';
import { CLUSTER_COMMANDS } from './cluster.ts';
import type { Command } from './command.ts';
import { completionCommands } from './completion.ts';
import { followCommand } from './follow-stream.ts';
import { HISTORY_COMMANDS, withPast } from './history.ts';
import { GUEST_COMMANDS } from './guest.ts';
import { INSTANCE_COMMANDS } from './instance.ts';
import { INTERFACE_COMMANDS } from './interface.ts';
import { NAMESPACE_COMMANDS } from './namespace.ts';
import { NETWORK_COMMANDS } from './network.ts';
import { NODE_COMMANDS } from './node.ts';
import { SNAPSHOT_COMMANDS } from './snapshot.ts';
import { TOKEN_COMMANDS } from './token.ts';
import { POWER_COMMANDS } from './power.ts';
import { versionCommand } from './version.ts';

const ALL: readonly Command[] = [
  ...INSTANCE_COMMANDS,
  ...POWER_COMMANDS,
  ...GUEST_COMMANDS,
  ...SNAPSHOT_COMMANDS,
  ...AGENT_OPERATION_COMMANDS,
  ...NETWORK_COMMANDS,
  ...INTERFACE_COMMANDS,
  ...ARTIFACT_COMMANDS,
  ...ARTIFACT_BYTES_COMMANDS,
  ...ACTOR_COMMANDS,
  ...HISTORY_COMMANDS,
  ...CLUSTER_COMMANDS,
  ...NODE_COMMANDS,
  ...TOKEN_COMMANDS,
  ...NAMESPACE_COMMANDS,
  followCommand,
  ...METADATA_COMMANDS,
  ...completionCommands(() => COMMANDS),
  versionCommand,
];

export const COMMANDS: readonly Command[] = ALL.map(withPast);
