// What a browser loads has nothing of Node in it.
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const test = suite('client: browser');

/** Every module that runs when this one is loaded; types are gone by then. */
function loaded(path: string, seen = new Set<string>()): Set<string> {
  if (seen.has(path)) return seen;
  seen.add(path);
  const source = readFileSync(path, 'utf8');
  for (const [, from = ''] of source.matchAll(
    /^(?:import|export) (?!type\b)[^;]*? from '([^']+)';$/gms,
  )) {
    if (from.startsWith('.')) loaded(resolve(dirname(path), from), seen);
    else seen.add(from);
  }
  return seen;
}

test('the browser’s entry leads to nothing of Node', () => {
  const entry = resolve(import.meta.dirname, '../../../src/client/browser.ts');
  const modules = [...loaded(entry)];
  assert.ok(modules.some((one) => one.endsWith('fetch-transport.ts')));
  assert.equal(
    modules.filter((one) => one.startsWith('node:') || one.endsWith('node-transport.ts')),
    [],
  );
  for (const path of modules.filter((one) => one.endsWith('.ts'))) {
    assert.not.match(readFileSync(path, 'utf8'), /\bBuffer\b|\bprocess\./, path);
  }
});

test.run();
