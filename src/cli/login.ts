// Who the command line is, and where the API is: flags over variables over the first login file there is. The files and
// variables of sf-client come after our own, so that who has used that has a login already (contract: clients 2).
import { readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CliError } from './failure.ts';
import type { Flags } from './flags.ts';
import { isView } from './table.ts';
import type { World } from './world.ts';

export interface Login {
  /** Without a slash at the end. */
  readonly apiUrl: string;
  readonly namespace: string;
  readonly key: string;
  /** For messages: the file, or what it was given by. */
  readonly source: string;
}

type Given = Partial<Pick<Login, 'apiUrl' | 'namespace' | 'key'>>;

const HINT =
  'start a daemon with `npm start`, or name a login with --login FILE or TROUPE_LOGIN: JSON with apiurl, namespace and key';

/** Throws when a login is missing, unreadable or makes no sense. */
export function findLogin(flags: Flags, world: World): Login {
  const { variables } = world;
  const direct = present({
    apiUrl: flags.text('api-url') ?? variable(world, 'API_URL'),
    namespace: flags.text('namespace') ?? variable(world, 'NAMESPACE'),
    key: flags.text('key') ?? variable(world, 'KEY'),
  });
  const { apiUrl, namespace, key } = direct;
  if (apiUrl !== undefined && namespace !== undefined && key !== undefined) {
    return checked(direct, 'login given by flags and variables');
  }
  const named = flags.text('login') ?? variables['TROUPE_LOGIN'];
  const { path, login } =
    named === undefined ? firstFile(world) : namedFile(resolve(world.directory, named));
  return checked({ ...login, ...direct }, `login from ${path}`);
}

function variable({ variables }: World, name: string): string | undefined {
  return variables[`TROUPE_${name}`] ?? variables[`SHAKENFIST_${name}`];
}

function namedFile(path: string) {
  const found = readLogin(path);
  if (found === 'missing') throw new CliError(`there is no login file ${path}`, { wayOut: HINT });
  if (found === 'forbidden') throw forbidden(path);
  return { path, login: found };
}

function loginFiles({ directory, checkout, home, systemDirectory, shakenFist }: World): string[] {
  const paths = [
    join(directory, '.troupe', 'login.json'),
    join(checkout, '.troupe', 'login.json'),
    ownFile(home),
    join(home, '.troupe.json'),
    join(systemDirectory, 'login.json'),
    join(home, '.shakenfist'),
    shakenFist,
  ];
  return [...new Set(paths)];
}

/** `~/.troupe`; where that is a daemon's folder, the login in it. */
function ownFile(home: string): string {
  const path = join(home, '.troupe');
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  return isFolder ? join(path, 'login.json') : path;
}

/** The first that can be read. One that may not be read is named only when no other is there. */
function firstFile(world: World) {
  const paths = loginFiles(world);
  let locked: string | undefined;
  const foreign = paths.filter((path) => !isTrusted(path));
  for (const path of paths.filter((one) => !foreign.includes(one))) {
    const found = readLogin(path);
    if (found === 'forbidden') locked ??= path;
    else if (found !== 'missing') return { path, login: found };
  }
  if (locked !== undefined) throw forbidden(locked);
  const unused =
    foreign.length > 0 ? `; not used, since another user owns it: ${foreign.join(', ')}` : '';
  throw new CliError(`no login found; looked for ${paths.join(', ')}${unused}`, { wayOut: HINT });
}

/** Not what somebody else has put where we happen to be: our key could be sent to their API. */
function isTrusted(path: string): boolean {
  try {
    const owner = statSync(path, { throwIfNoEntry: false })?.uid;
    return owner === undefined || owner === 0 || owner === process.geteuid?.();
  } catch {
    // A folder that we may not enter: reading it says so.
    return true;
  }
}

function forbidden(path: string): CliError {
  const wayOut = 'run this as the user it belongs to (root: sudo), or name another with --login';
  return new CliError(`the login file ${path} may not be read`, { wayOut });
}

function readLogin(path: string): Given | 'missing' | 'forbidden' {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return 'missing';
    if (code === 'EACCES' || code === 'EPERM') return 'forbidden';
    throw new CliError(`the login file ${path} cannot be read: ${(error as Error).message}`);
  }
  return parseLogin(path, text);
}

function parseLogin(path: string, text: string): Given {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (!isView(value)) {
    throw new CliError(
      `the login file ${path} should hold a JSON object with apiurl, namespace, key`,
    );
  }
  const member = (name: string) => {
    const found = (value as Record<string, unknown>)[name];
    return typeof found === 'string' ? found : undefined;
  };
  return present({ apiUrl: member('apiurl'), namespace: member('namespace'), key: member('key') });
}

/** Without the members that are undefined or empty. */
function present(given: Readonly<Record<keyof Given, string | undefined>>): Given {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value)) as Given;
}

function checked({ apiUrl, namespace, key }: Given, source: string): Login {
  const missing = Object.entries({
    'the API address': apiUrl,
    'a namespace': namespace,
    'a key': key,
  })
    .filter(([, value]) => value === undefined)
    .map(([what]) => what);
  if (apiUrl === undefined || namespace === undefined || key === undefined) {
    throw new CliError(`the login lacks ${missing.join(' and ')} (${source})`, { wayOut: HINT });
  }
  if (!/^https?:\/\/[^/]/.test(apiUrl) || !URL.canParse(apiUrl)) {
    const wayOut = 'it should look like http://127.0.0.1:13000';
    throw new CliError(`${JSON.stringify(apiUrl)} is no address of an API (${source})`, { wayOut });
  }
  return { apiUrl: apiUrl.replace(/\/+$/, ''), namespace, key, source };
}
