// What a newcomer reads: how to log in, where things are, how to stop.
import type { Login } from '../daemon/bootstrap.ts';
import { loginFile } from '../daemon/bootstrap.ts';
import { basename } from 'node:path';
import type { Config } from '../config.ts';

export function welcome(config: Config, login: Login, warning: string | null): string {
  const notice = warning === null ? '' : `\nNote: ${warning}\n`;
  return `${notice}
Troupe serves on node ${config.node}
  API       ${login.apiurl}
  login     namespace ${login.namespace}, key in ${loginFile(config.dataDir)}
  data      ${config.dataDir}
  log       ${config.logDir}/daemon.log`;
}

export function farewell(config: Config, hasTour: boolean): string {
  // Found by itself in the clone's own data directory only.
  const login = loginFile(config.dataDir);
  const isFound = basename(config.dataDir) === '.troupe';
  const tour = ['show', 'console', 'events', 'delete'].map((verb) => `instance ${verb} tour`);
  const commands = ['instance list', ...(hasTour ? tour : []), '--help'];
  const lines = commands.map(
    (command) => `  ${isFound ? '' : `TROUPE_LOGIN=${login} `}npx troupe ${command}`,
  );
  return `
Next, in another terminal:
${lines.join('\n')}

Press Ctrl-C to stop: instances stop with it and start again at the next npm start.`;
}
