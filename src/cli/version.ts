// `troupe version`: of the command line, and of what answers at the API.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Call, Command } from './command.ts';
import { jsonText } from './screen-text.ts';
import { fields, isView, text } from './table.ts';

export const versionCommand: Command = {
  name: 'version',
  summary: 'Say the versions of this command and of its Node, and which API it would use',
  args: [],
  flags: {},
  examples: ['troupe version'],
  run: async (call) => {
    const version = packageVersion(call.world.checkout);
    const api = await apiLine(call);
    if (call.flags.is('json')) {
      return call.print(`${jsonText({ version, node: process.version, api })}\n`);
    }
    return call.print(
      fields([
        ['troupe', version],
        ['node', process.version],
        ['API', api],
      ]),
    );
  },
};

/** Without a login, or with nobody there, this is still no failure of `version`. */
async function apiLine(call: Call): Promise<string> {
  try {
    const client = call.client();
    const health = await client.view('GET', '/healthz');
    return `${client.apiUrl}, node ${text(health, 'node')}`;
  } catch (error) {
    if (call.world.signal.aborted) throw error;
    return (error as Error).message;
  }
}

function packageVersion(checkout: string): string {
  const value: unknown = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8'));
  return isView(value) ? text(value, 'version') : '';
}
