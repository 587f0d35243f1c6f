// Every command there is.
import { ACTOR_COMMANDS } from './actor.ts';
import { ARTIFACT_COMMANDS } from './artifact.ts';
import { CLUSTER_COMMANDS } from './cluster.ts';
import type { Command } from './command.ts';
import { completionCommands } from './completion.ts';
import { followCommand } from './follow-stream.ts';
import { INSTANCE_COMMANDS } from './instance.ts';
import { NAMESPACE_COMMANDS } from './namespace.ts';
import { NETWORK_COMMANDS } from './network.ts';
import { NODE_COMMANDS } from './node.ts';
import { POWER_COMMANDS } from './power.ts';
import { versionCommand } from './version.ts';

export const COMMANDS: readonly Command[] = [
  ...INSTANCE_COMMANDS,
  ...POWER_COMMANDS,
  ...NETWORK_COMMANDS,
  ...ARTIFACT_COMMANDS,
  ...ACTOR_COMMANDS,
  ...CLUSTER_COMMANDS,
  ...NODE_COMMANDS,
  ...NAMESPACE_COMMANDS,
  followCommand,
  ...completionCommands(() => COMMANDS),
  versionCommand,
];
