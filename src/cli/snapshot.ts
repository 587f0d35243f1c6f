// `troupe instance snapshot` and `snapshots`: an instance's disks as they are at one moment.
import { setTimeout as delay } from 'node:timers/promises';
import type { View } from '../client/client.ts';
import type { Call, Command } from './command.ts';
import { CliError, INTERRUPTED } from './failure.ts';
import { dateTime, duration, size } from './format.ts';
import { objectPath } from './object-path.ts';
import { Progress } from './progress.ts';
import { isOutage } from './repeat.ts';
import { jsonText } from './screen-text.ts';
import { isView, table, text, type Column } from './table.ts';
import { patienceMs, WAIT_FLAGS } from './wait.ts';

const COLUMNS: readonly Column<View>[] = [
  ['DEVICE', (one) => text(one, 'device')],
  ['BLOB', (one) => text(one, 'blob_uuid')],
  ['STATE', (one) => text(one, 'state')],
  ['SIZE', (one) => size(Number(one['size']))],
  ['MADE', (one) => dateTime(Number(one['fetched_at']) * 1000)],
  ['ARTIFACT', (one) => text(one, 'uuid')],
];

/** Of these many events of an artifact the one that says why there is no version. */
const LOOK_BACK = 20;

const snapshot: Command = {
  name: 'instance snapshot',
  summary: "Snapshot an instance's disks, while it runs",
  args: ['REF'],
  flags: {
    all: { type: 'boolean', short: 'a', help: 'all disks at the same moment, not only the first' },
    device: { type: 'string', short: 'd', value: 'DEVICE', help: 'this disk, such as vdc' },
    thin: { type: 'boolean', help: 'only what differs from the image that the disk started from' },
    'max-versions': { type: 'string', value: 'N', help: 'keep the newest N of each disk (3)' },
    ...WAIT_FLAGS,
  },
  examples: [
    'troupe instance snapshot web --all',
    'troupe instance snapshot db -d vdc',
    'troupe instance snapshot web --thin',
  ],
  notes:
    'Each disk becomes a blob: an instance starts from it with `-d 20@sf://blob/UUID`. Guests with an agent are frozen for the moment of it.',
  run: async (call) => {
    const { flags } = call;
    const body = {
      all: flags.is('all'),
      ...(flags.is('thin') ? { thin: true } : {}),
      ...(flags.text('device') === undefined ? {} : { device: flags.text('device') }),
      max_versions: flags.number('max-versions', 1) ?? 0,
    };
    const path = `${objectPath('instance', call.args[0] ?? '')}/snapshot`;
    const promised = await call.client().view('POST', path, body);
    if (Object.keys(promised).length === 0) {
      throw new CliError(`${call.args[0]} has no such disk that snapshots are made of`);
    }
    if (!flags.is('wait', true)) return call.print(`${jsonText(promised)}\n`);
    const made = await awaited(call, path, promised);
    call.print(flags.is('json') ? `${jsonText(made)}\n` : table(made, COLUMNS));
  },
};

const snapshots: Command = {
  name: 'instance snapshots',
  summary: "List the snapshots of an instance's disks",
  args: ['REF'],
  flags: {},
  examples: ['troupe instance snapshots web'],
  run: async (call) => {
    const found = await call
      .client()
      .list(`${objectPath('instance', call.args[0] ?? '')}/snapshot`);
    if (call.flags.is('json')) return call.print(`${jsonText(found)}\n`);
    if (found.length === 0) return call.say('no snapshots');
    return call.print(table(found, COLUMNS));
  },
};

export const SNAPSHOT_COMMANDS: readonly Command[] = [snapshot, snapshots];

/** The snapshots once all of them are there. Throws CliError with the reason when one will not be. */
async function awaited(call: Call, path: string, promised: View): Promise<View[]> {
  const progress = new Progress(call.world.stderr);
  const startedAtMono = performance.now();
  try {
    for (;;) {
      const waitedMs = performance.now() - startedAtMono;
      const made = await look(call, path, promised);
      if (made !== undefined) return made;
      if (waitedMs >= patienceMs(call)) throw left(`not there after ${duration(waitedMs)}`);
      progress.note(`snapshot of ${Object.keys(promised).join(', ')}`, duration(waitedMs));
      await delay(call.world.pollMs, undefined, { signal: call.world.signal });
    }
  } catch (error) {
    throw call.world.signal.aborted ? left('no longer waiting', INTERRUPTED) : error;
  } finally {
    progress.end();
  }
}

/** Undefined: not yet. */
async function look(call: Call, path: string, promised: View): Promise<View[] | undefined> {
  try {
    const wanted = Object.values(promised).filter(isView);
    const found = await call.client().list(path);
    const made = wanted.map((one) => found.find((view) => isOf(view, one)));
    for (const [index, one] of wanted.entries()) {
      if (made[index] === undefined) await requireHope(call, one);
    }
    const there = made.filter((view) => view !== undefined);
    return there.length === wanted.length ? there : undefined;
  } catch (error) {
    if (isOutage(error) && !call.world.signal.aborted) return undefined;
    throw error;
  }
}

function isOf(view: View, promised: View): boolean {
  return (
    text(view, 'blob_uuid') === text(promised, 'blob_uuid') && text(view, 'state') === 'created'
  );
}

async function requireHope(call: Call, promised: View): Promise<void> {
  const path = `${objectPath('artifact', text(promised, 'artifact_uuid'))}/events`;
  const events = await call.client().list(path, { limit: LOOK_BACK });
  const extras = events.map((event) => event['extra']).filter(isView);
  const why = extras.find((extra) => text(extra, 'blobId') === text(promised, 'blob_uuid'));
  if (why === undefined) return;
  throw new CliError(
    `no snapshot of ${text(promised, 'source_url')} was made: ${text(why, 'reason')}`,
  );
}

function left(what: string, exitCode?: number): CliError {
  const wayOut = '`troupe instance snapshots REF` lists them once they are there';
  const code = exitCode === undefined ? {} : { exitCode };
  return new CliError(`${what}: the snapshot goes on`, { wayOut, ...code });
}
