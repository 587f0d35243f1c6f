// `troupe instance vdiconsole` and `vdiconsolefile`: an instance's screen, in remote-viewer.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Call, Command } from './command.ts';
import { CliError } from './failure.ts';
import { objectPath } from './object-path.ts';

const VIEWER = 'remote-viewer';

export const screenFileCommand: Command = {
  name: 'instance vdiconsolefile',
  summary: "Print a connection file for an instance's screen",
  args: ['REF'],
  flags: {},
  examples: ['troupe instance vdiconsolefile web > web.vv'],
  notes: `For ${VIEWER}. It has what the instance's ports are now: they are others after the next start.`,
  run: async (call) => call.print(await connectionFile(call)),
};

export const screenCommand: Command = {
  name: 'instance vdiconsole',
  summary: "Open an instance's screen",
  args: ['REF'],
  flags: {},
  examples: ['troupe instance vdiconsole web'],
  notes: `Starts ${VIEWER} here, which has to reach the instance's machine by its name.`,
  run: async (call) => {
    const text = await connectionFile(call);
    if (!/^(tls-)?port=/m.test(text)) {
      throw new CliError(`${call.args[0]} has no screen to show: it is not running`);
    }
    const directory = await mkdtemp(join(tmpdir(), 'troupe-screen-'));
    try {
      const file = join(directory, 'screen.vv');
      await writeFile(file, text, { mode: 0o600 });
      await view(file, call);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  },
};

async function connectionFile(call: Call): Promise<string> {
  const path = `${objectPath('instance', call.args[0] ?? '')}/vdiconsolehelper`;
  return (await call.client().bytes(path)).toString();
}

/** Returns when the viewer has ended; Ctrl-C ends it. */
async function view(file: string, { world: { variables, signal } }: Call): Promise<void> {
  const viewer = spawn(VIEWER, [file], { stdio: 'ignore', env: variables, signal });
  try {
    const [code] = (await once(viewer, 'exit')) as [number | null];
    if (code !== 0 && !signal.aborted) throw new CliError(`${VIEWER} ended with ${code}`);
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (!isMissing) throw error;
    const wayOut = 'install virt-viewer, or take the file from `troupe instance vdiconsolefile`';
    throw new CliError(`there is no ${VIEWER} on this machine`, { wayOut });
  }
}
