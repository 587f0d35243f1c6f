// What a cluster needs before anybody can use it: the administrator's namespace and key, the floating pool. Each step is done once, and repeated harmlessly. Who finds it done asks nobody: a
// machine starts while the daemon that decides for the pool is away.
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { Router } from '../../actors/kernel/ports.ts';
import { bootstrapKey, namespaceRef, SYSTEM } from '../../actors/namespace/state.ts';
import { FLOATING, networkRef } from '../../actors/network/state.ts';
import { hashSecret, matches, newSecret } from '../api/identity/secret.ts';
import type { ReadModel } from '../read/read-model.ts';
import { retry, type Patience } from './retry.ts';

/** What a client on this machine logs in with; read by `troupe` and printed by the tour. */
export interface Login {
  readonly apiurl: string;
  readonly namespace: string;
  readonly key: string;
}

export function loginFile(dataDir: string): string {
  return join(dataDir, 'login.json');
}

export interface BootstrapOptions {
  readonly node: string;
  readonly router: Router;
  readonly read: ReadModel;
  readonly dataDir: string;
  readonly apiUrl: string;
  readonly floatingBlock: string;
  readonly trace: string;
  readonly patience: Omit<Patience, 'patienceMs'>;
}

/** A daemon that has died is replaced within its lease's TTL; one that only we cannot reach stays. */
const PATIENCE_MS = 60_000;
const WAY_OUT =
  'the daemon that decides for it has to be reached from here (mesh-address, mesh-port of both); then start this one again';

/** Makes the first objects, and a login for this machine's administrator (mode 0600, in the data directory). */
export async function bootstrap(options: BootstrapOptions): Promise<Login> {
  const patience = { ...options.patience, patienceMs: PATIENCE_MS };
  const key = await retry(patience, () => makeAll(options), WAY_OUT);
  const login = { apiurl: options.apiUrl, namespace: SYSTEM, key };
  await writePrivately(loginFile(options.dataDir), `${JSON.stringify(login, null, 2)}\n`);
  return login;
}

/** Resolves to this machine's key. */
async function makeAll(options: BootstrapOptions): Promise<string> {
  const { router, read, trace } = options;
  await makePool(options);
  if (read.namespaces.get(SYSTEM) === undefined) {
    const { revision } = await router.ask(namespaceRef(SYSTEM), { kind: 'create' }, { trace });
    await read.reached(revision);
  }
  return currentKey(options);
}

/** The pool's block stays what it was first: addresses of it are in use. */
async function makePool({ router, read, floatingBlock, trace }: BootstrapOptions): Promise<void> {
  if (read.networks.get(FLOATING) === undefined) {
    const message = { kind: 'create-pool', netblock: floatingBlock } as const;
    const { revision } = await router.ask(networkRef(FLOATING), message, { trace });
    await read.reached(revision);
  }
  checkPool(read, floatingBlock);
}

/** Error: `config/invalid` when the cluster gives out other addresses. */
export function checkPool(read: ReadModel, floatingBlock: string): void {
  const pool = read.networks.get(FLOATING)?.state.netblock;
  if (pool === undefined || pool === floatingBlock) return;
  throw new TroupeError(
    'config/invalid',
    `setting floating-block: this cluster gives out addresses of ${pool}, found ${floatingBlock}; start with --floating-block ${pool}`,
  );
}

/** The key in the login file as long as the cluster knows it; else a new one. */
async function currentKey(options: BootstrapOptions): Promise<string> {
  const { node, router, read, dataDir, trace } = options;
  const name = bootstrapKey(node);
  const known = read.namespaces.get(SYSTEM)?.state.keys[name];
  const kept = await keptKey(dataDir);
  if (known !== undefined && kept !== undefined && (await matches(kept, known))) return kept;
  const secret = newSecret();
  const key = await hashSecret(secret);
  const message = { kind: 'set-key', name, key } as const;
  const { revision } = await router.ask(namespaceRef(SYSTEM), message, { trace });
  await read.reached(revision);
  return secret;
}

async function keptKey(dataDir: string): Promise<string | undefined> {
  try {
    const login = JSON.parse(await readFile(loginFile(dataDir), 'utf8')) as Partial<Login>;
    return login.key;
  } catch {
    // Not there yet, or damaged: a new key is made.
    return undefined;
  }
}

async function writePrivately(path: string, text: string): Promise<void> {
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(`${path}.new`, text, { mode: 0o600 });
  await chmod(`${path}.new`, 0o600);
  await rename(`${path}.new`, path);
}
