// `troupe instance`: virtual machines.
import { setTimeout as delay } from 'node:timers/promises';
import { ApiError } from '../client/api-error.ts';
import type { View } from '../client/client.ts';
import type { Call, Command } from './command.ts';
import { consoleCommand } from './console.ts';
import { deleteAllCommand } from './delete-all.ts';
import { addInterfaceCommand } from './instance-plug.ts';
import { screenCommand, screenFileCommand } from './instance-screen.ts';
import { eventsCommand } from './event-command.ts';
import { eventText } from './event-text.ts';
import { CliError } from './failure.ts';
import { duration } from './format.ts';
import { INSTANCE_COLUMNS, instanceText } from './instance-text.ts';
import { instanceBody, INSTANCE_FLAGS } from './instance-spec.ts';
import { objectPath } from './object-path.ts';
import {
  DELETE_FLAGS,
  deleteObject,
  listCommand,
  printView,
  showCommand,
} from './object-command.ts';
import { Progress } from './progress.ts';
import { text, views } from './table.ts';
import { awaitGoal, patienceMs, WAIT_FLAGS } from './wait.ts';

/** How long a network that is just being made may keep a create waiting. */
const DEPENDENCY_MS = 60_000;

const create: Command = {
  name: 'instance create',
  summary: 'Make an instance and start it',
  args: ['NAME', 'CPUS', 'MEMORY'],
  flags: { ...INSTANCE_FLAGS, ...WAIT_FLAGS },
  examples: [
    'troupe instance create web 1 1024 -d 20@https://example.org/debian-12.qcow2 -n front -i ~/.ssh/id_ed25519.pub',
    'troupe instance create db 2 4096 -d 20@https://example.org/debian-12.qcow2 -D size=100,bus=nvme -n front@10.20.0.9 --uefi',
  ],
  notes: 'MEMORY is in MiB. Waits until the instance runs.',
  run: async (call) => {
    const made = await post(call, instanceBody(call));
    const detail = (view: View) => imageProgress(call, view);
    const expectation = { noun: 'instance', goal: 'created', view: made, detail } as const;
    printView(call, await awaitGoal(call, expectation), instanceText);
  },
};

export const INSTANCE_COMMANDS: readonly Command[] = [
  listCommand('instance', INSTANCE_COLUMNS),
  showCommand('instance', instanceText),
  create,
  {
    name: 'instance delete',
    summary: 'Stop an instance for good and give back what it holds',
    args: ['REF'],
    flags: DELETE_FLAGS,
    examples: ['troupe instance delete web'],
    notes: 'Its disks are lost. Waits until all is gone.',
    run: (call) => deleteObject(call, 'instance'),
  },
  deleteAllCommand('instance'),
  addInterfaceCommand,
  consoleCommand,
  screenCommand,
  screenFileCommand,
  eventsCommand('instance'),
];

/** Addresses and a node are looked for once the instance exists: without them it stays, in `error`. */
function withRemains(error: unknown, { args }: Call): unknown {
  const isPlacement = error instanceof ApiError && [409, 507].includes(error.status);
  if (!isPlacement) return error;
  const wayOut = `what there is of it stays in error until \`troupe instance delete ${args[0]}\``;
  return new CliError(error.message, { requestId: error.requestId, wayOut });
}

/** A 406 says that a network is not ready yet: asked again for a while, unless nothing is to be waited for. */
async function post(call: Call, body: object): Promise<View> {
  const { world, flags } = call;
  const startedAtMono = performance.now();
  const givenUpAtMono = startedAtMono + Math.min(DEPENDENCY_MS, patienceMs(call));
  const progress = new Progress(world.stderr);
  try {
    for (;;) {
      try {
        return await call.client().view('POST', '/instances', body);
      } catch (error) {
        const mayWait = flags.is('wait', true) && performance.now() < givenUpAtMono;
        const isNotReady = error instanceof ApiError && error.status === 406;
        if (!isNotReady || !mayWait) throw withRemains(error, call);
        progress.note(error.message, duration(performance.now() - startedAtMono));
      }
      await delay(world.pollMs, undefined, { signal: world.signal });
    }
  } finally {
    progress.end();
  }
}

/** What an instance in `preflight` waits for is mostly an image that is being fetched. */
async function imageProgress(call: Call, view: View): Promise<string | undefined> {
  if (text(view, 'state') !== 'preflight') return undefined;
  const bases = views(view, 'disk_spec').map((spec) => text(spec, 'base'));
  const artifacts = await call.client().list('/artifacts');
  const fetching = artifacts.find(
    (artifact) =>
      text(artifact, 'state') === 'initial' && bases.includes(text(artifact, 'source_url')),
  );
  if (fetching === undefined) return undefined;
  const path = objectPath('artifact', text(fetching, 'uuid'));
  const [latest] = await call.client().list(`${path}/events`, { limit: 1 });
  const how = latest === undefined ? '' : `: ${eventText(latest)}`;
  return `image ${text(fetching, 'source_url')}${how}`;
}
