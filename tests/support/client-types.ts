// The text that src/client/operations.ts has to have; started by itself (`npm run client-types`) it writes it.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { JsonObject } from '../../actors/kernel/json.ts';
import { clientTypes } from '../../src/api/description/client-types.ts';
import { openApiWorld } from './api-world.ts';

const ROOT = join(import.meta.dirname, '..', '..');
export const CLIENT_TYPES = join(ROOT, 'src', 'client', 'operations.ts');

/** Formatted as all our code is. */
export async function wantedClientTypes(): Promise<string> {
  const world = await openApiWorld();
  try {
    const document = await world.ok<JsonObject>('GET', '/openapi.json', { as: null });
    const input = clientTypes(document);
    const oxfmt = join(ROOT, 'node_modules', '.bin', 'oxfmt');
    const args = ['--stdin-filepath', CLIENT_TYPES];
    return execFileSync(oxfmt, args, { input, encoding: 'utf8', cwd: ROOT });
  } finally {
    await world.close();
  }
}

if (import.meta.main) {
  const wanted = await wantedClientTypes();
  const isNew = readFileSync(CLIENT_TYPES, { encoding: 'utf8', flag: 'a+' }) !== wanted;
  if (isNew) writeFileSync(CLIENT_TYPES, wanted);
  console.log(isNew ? 'written' : 'nothing to change');
}
