// The pages for people say what the tree has: codes, settings, effects, phases, routes, paths.
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { agentOperation } from '../../actors/agent-operation/agent-operation.ts';
import { PHASES as AGENT_OPERATION_PHASES } from '../../actors/agent-operation/phases.ts';
import { artifact } from '../../actors/artifact/artifact.ts';
import { PHASES as ARTIFACT_PHASES } from '../../actors/artifact/phases.ts';
import { upload } from '../../actors/upload/upload.ts';
import { PHASES as UPLOAD_PHASES } from '../../actors/upload/phases.ts';
import { blob } from '../../actors/blob/blob.ts';
import { PHASES as BLOB_PHASES } from '../../actors/blob/phases.ts';
import { diskSnapshot } from '../../actors/disk-snapshot/disk-snapshot.ts';
import { PHASES as DISK_SNAPSHOT_PHASES } from '../../actors/disk-snapshot/phases.ts';
import { instance } from '../../actors/instance/instance.ts';
import { PHASES as INSTANCE_PHASES } from '../../actors/instance/phases.ts';
import { interfaceKind } from '../../actors/interface/interface.ts';
import { PHASES as INTERFACE_PHASES } from '../../actors/interface/phases.ts';
import { CODES } from '../../actors/kernel/errors.ts';
import { PATIENT, PROMPT, STANDING, type EffectPolicy } from '../../actors/kernel/kind.ts';
import { INSISTENT } from '../../actors/kernel/setback.ts';
import { network } from '../../actors/network/network.ts';
import { PHASES as NETWORK_PHASES } from '../../actors/network/phases.ts';
import { METRICS, shownName, type MetricName } from '../../src/metrics/catalog.ts';
import { SETTINGS, SHORTHANDS } from '../../src/config/settings.ts';

const test = suite('documentation');
const ROOT = join(import.meta.dirname, '../..');
const PAGES = ['README.md', 'CONTRIBUTING.md', ...globSync('docs/*.md', { cwd: ROOT })];

const KINDS = {
  agentoperation: [agentOperation, AGENT_OPERATION_PHASES],
  disksnapshot: [diskSnapshot, DISK_SNAPSHOT_PHASES],
  instance: [instance, INSTANCE_PHASES],
  interface: [interfaceKind, INTERFACE_PHASES],
  network: [network, NETWORK_PHASES],
  artifact: [artifact, ARTIFACT_PHASES],
  upload: [upload, UPLOAD_PHASES],
  blob: [blob, BLOB_PHASES],
} as const;

function page(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

/** Without fenced blocks: screens and commands are not claims about the tree. */
function prose(path: string): string {
  return page(path).replace(/^```[\s\S]*?^```/gm, '');
}

/** The text of every `code span`. */
function spans(path: string): string[] {
  return [...prose(path).matchAll(/`([^`\n]+)`/g)].map(([, text = '']) => text);
}

/** The cells of every table row whose first cell is one code span. */
function rows(text: string): string[][] {
  return [...text.matchAll(/^\| `[^`]+` \|.*\|$/gm)].map(([row]) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll('`', '')),
  );
}

/** What stands below a `### heading`, to the next heading. */
function section(path: string, heading: string): string {
  const [, after = ''] = page(path).split(`\n### ${heading}\n`);
  return after.split(/^##/m)[0] ?? '';
}

/** Both say the same, in whatever order. */
function assertSame(where: string, said: readonly string[], there: readonly string[]): void {
  const surplus = said.filter((one) => !there.includes(one));
  const missing = there.filter((one) => !said.includes(one));
  assert.equal(
    { surplus, missing },
    { surplus: [], missing: [] },
    `${where}: ${JSON.stringify({ surplus, missing })}`,
  );
}

test('every error code is documented with its status and retry, and no other', () => {
  const documented = rows(page('docs/errors.md')).map(([code, http, retry]) => [code, http, retry]);
  const declared = Object.entries(CODES).map(([code, { http, retry }]) => [
    code,
    String(http),
    retry,
  ]);
  assertSame('docs/errors.md', documented.map(String), declared.map(String));
});

test('every setting is in the table of settings, and no other', () => {
  const [, settings = ''] = page('docs/operations.md').split('## Settings');
  const documented = rows(settings.split(/^## /m)[0] ?? '').map(([flag]) => flag);
  const declared = Object.entries(SETTINGS).map(([name, { value }]) => `--${name} ${value}`);
  assertSame('docs/operations.md', documented.map(String), declared);
});

test('every metric is in the table of metrics with its labels, and no other', () => {
  const documented = rows(section('docs/operations.md', 'The metrics')).map(
    ([name, type, labels]) => [name, type, labels].join(' ').trim(),
  );
  const declared = (Object.keys(METRICS) as MetricName[]).map((name) => {
    const { type, labels } = METRICS[name];
    return [shownName(name), type, labels.join(', ')].join(' ').trim();
  });
  assertSame('docs/operations.md', documented, declared);
});

test('flags that the pages tell people to give exist', () => {
  const ours = (text: string) => /^(npm start -- |--)/.test(text);
  const known = new Set([...Object.keys(SETTINGS), ...Object.keys(SHORTHANDS), 'help']);
  // Flags of the command line tool, of the test runner and of others' programs.
  const foreign = [
    'json',
    'address',
    'for',
    'machine',
    'nodes',
    'no-wait',
    'timeout',
    'auto-compaction-mode',
    'auto-compaction-retention',
  ];
  for (const path of PAGES) {
    for (const text of spans(path).filter(ours)) {
      for (const [, flag = ''] of text.matchAll(/--([a-z][a-z-]*)/g)) {
        assert.ok(known.has(flag) || foreign.includes(flag), `${path}: --${flag} is no setting`);
      }
    }
  }
});

for (const [kind, [definition, phases]] of Object.entries(KINDS)) {
  test(`the effects of ${kind} are documented with their policies`, () => {
    const documented = rows(section('docs/architecture.md', kind)).map(([name, , policy = '']) => [
      name,
      policy,
    ]);
    const policies = Object.entries<EffectPolicy>(definition.policies);
    const names = documented.map(([name]) => String(name));
    assertSame(`docs/architecture.md on ${kind}`, names, Object.keys(definition.policies));
    for (const [name, policy] of policies) {
      const [, said = ''] = documented.find(([found]) => found === name) ?? [];
      assert.ok(
        said.startsWith(policyName(policy)),
        `${kind}/${name} is ${policyName(policy)}, not ${said}`,
      );
    }
  });

  test(`the diagram of ${kind} has its moves from phase to phase`, () => {
    const diagram = section('docs/architecture.md', kind);
    const drawn = [...diagram.matchAll(/^ {2}(\S+) --> (\w+)/gm)].map(
      ([, from = '', to = '']) => `${phase(from)} ${phase(to)}`,
    );
    const moves = Object.entries<readonly string[]>(phases).flatMap(([from, all]) =>
      all.map((to) => `${from} ${to}`),
    );
    for (const move of drawn) assert.ok(moves.includes(move), `${kind}: no move ${move}`);
    // Left out of the diagrams: parking, and a phase that is never entered.
    const isShown = (move: string) => !/ error$|delete-wait-error|^error deleted$/.test(move);
    for (const move of moves.filter(isShown)) assert.ok(drawn.includes(move), `${kind}: ${move}`);
  });
}

function phase(id: string): string {
  return id === '[*]' ? 'none' : id.replaceAll('_', '-');
}

function policyName(policy: EffectPolicy): string {
  const names = new Map([
    [PROMPT, 'PROMPT'],
    [PATIENT, 'PATIENT'],
    [INSISTENT, 'INSISTENT'],
    [STANDING, 'STANDING'],
  ]);
  return names.get(policy) ?? `own, ${policy.deadlineMs / 1000} s`;
}

test('every route is in the table of routes, and no page names another', () => {
  const sources = globSync('src/api/**/*.ts', { cwd: ROOT }).map(page).join('\n');
  const routes = [...sources.matchAll(/route\(\s*'([A-Z]+ [^']+)'/g)].map(([, at = '']) =>
    shape(at),
  );
  assert.ok(routes.length > 10);
  const named = (path: string) =>
    spans(path).filter((span) => /^(GET|POST|PUT|DELETE) \/(?!things)/.test(span));
  assertSame('docs/operations.md', named('docs/operations.md').map(shape), routes);
  for (const path of PAGES) {
    for (const text of named(path))
      assert.ok(routes.includes(shape(text)), `${path}: there is no route ${text}`);
  }
});

/** Variables are `:name` in the code, `NAME` or `<name>` on the pages. */
function shape(at: string): string {
  const [method = '', path = ''] = at.split(' ');
  return `${method} ${path.replace(/(?<=\/)(:\w+|[A-Z]+|<[^>]+>)/g, '*')}`;
}

test('paths that the pages name are in the tree', () => {
  const inTree =
    /^(actors|transport|src|deploy|tests|docs|\.ci)\/|^[A-Z]+\.md$|^package\.json$|^\.oxlintrc\.json$/;
  for (const path of PAGES) {
    for (const text of spans(path).filter((span) => inTree.test(span))) {
      const [name = ''] = text.replace(/\/?\.\.\.$/, '').split(' ');
      if (/[<*]/.test(name)) continue;
      assert.ok(existsSync(join(ROOT, name)), `${path}: there is no ${name}`);
    }
  }
});

test('links lead to a page that is there, and to a heading on it', () => {
  for (const path of PAGES) {
    for (const [, target = ''] of prose(path).matchAll(/\]\(([^)]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      const [file = '', anchor] = target.split('#');
      const linked = file === '' ? path : join(dirname(path), file);
      assert.ok(existsSync(join(ROOT, linked)), `${path}: there is no ${linked}`);
      if (anchor !== undefined)
        assert.ok(headings(linked).includes(anchor), `${path}: no ${target}`);
    }
  }
});

function headings(path: string): string[] {
  return [...prose(path).matchAll(/^#+ (.+)$/gm)].map(([, text = '']) =>
    text
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );
}

test('functions that the walk names are in the files that it names', () => {
  let named = 0;
  for (const [, files = '', functions = ''] of page('docs/walk.md').matchAll(
    /^\| (`[^|]+\.ts`) \| ([^|]*`[^|]*) \|/gm,
  )) {
    const sources = [...files.matchAll(/`([^`]+)`/g)].map(([, file = '']) => page(file)).join('\n');
    for (const [, name = ''] of functions.matchAll(/`#?(\w+)(?:\(\))?`/g)) {
      named++;
      assert.match(sources, new RegExp(`\\b${name}\\b`), `docs/walk.md: no ${name} in ${files}`);
    }
  }
  assert.ok(named > 30, `${named} functions found on the page`);
});

test.run();
