// What a newcomer reads: how to log in, where things are, how to stop.
import type { Login } from '../daemon/bootstrap.ts';
import { loginFile } from '../daemon/bootstrap.ts';
import { basename } from 'node:path';
import type { Config } from '../config.ts';

export function welcome(config: Config, login: Login, warning: string | null): string {
  const notice = warning === null ? '' : `\nNote: ${warning}\n`;
  const api = config.roles.includes('api')
    ? `${login.apiurl}
  login     namespace ${login.namespace}, key in ${loginFile(config.dataDir)}`
    : 'served by other nodes of the cluster';
  return `${notice}
Troupe serves on node ${config.node}
  API       ${api}
  data      ${config.dataDir}
  log       ${config.logDir}/daemon.log`;
}

/** `tour`: name of the instance that the tour has shown; null when there was none. */
export function farewell(config: Config, tour: string | null): string {
  if (!config.roles.includes('api')) return '\nPress Ctrl-C to stop.';
  // Found by itself in the clone's own data directory only.
  const login = loginFile(config.dataDir);
  const isFound = basename(config.dataDir) === '.troupe';
  const verbs = tour === null ? [] : ['show', 'console', 'events', 'delete'];
  const commands = ['instance list', ...verbs.map((verb) => `instance ${verb} ${tour}`), '--help'];
  const lines = commands.map(
    (command) => `  ${isFound ? '' : `TROUPE_LOGIN=${login} `}npx troupe ${command}`,
  );
  return `
Next, in another terminal:
${lines.join('\n')}

Press Ctrl-C to stop: ${endsGuestsAtStop(config) ? 'instances stop with it and start again at the next npm start' : 'instances run on'}.`;
}

/** Whether a stop of the daemon is the end of what it runs: that of a machine that is alone, with a libvirtd of its own. */
export function endsGuestsAtStop({ libvirtSocket, mesh }: Config): boolean {
  return libvirtSocket === null && mesh === null;
}

/** The last words: what remains. */
export function stopped(config: Config): string {
  return endsGuestsAtStop(config)
    ? `Stopped. What remains is in ${config.dataDir}; the next npm start goes on from there.`
    : 'Stopped. Guests and networks run on; the next npm start finds them.';
}
