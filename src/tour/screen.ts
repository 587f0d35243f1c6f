// What a newcomer reads: how to log in, where things are, how to stop.
import type { Login } from '../daemon/bootstrap.ts';
import { loginFile } from '../daemon/bootstrap.ts';
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
  const example = hasTour
    ? `
  npx troupe instance show tour
  npx troupe instance console tour
  npx troupe instance events tour
  npx troupe instance delete tour`
    : '';
  return `
Next, in another terminal:
  npx troupe instance list${example}
  npx troupe --help
The command line finds its login in ${loginFile(config.dataDir)}.

Press Ctrl-C to stop: instances stop with it and start again at the next npm start.`;
}
