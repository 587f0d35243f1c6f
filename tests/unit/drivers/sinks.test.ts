// What tenants choose (names, metadata, keys, user data, DNS names) against everything that gives text a meaning: one test for
// each sink. HTML is in tests/contract/api/hostile.test.ts; how programs get their arguments, in exec.test.ts too.
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { configDrive } from '../../../actors/node/config-drive.ts';
import { exec } from '../../../src/drivers/exec.ts';
import { defineDomain } from '../../../src/drivers/hypervisor/definition.ts';
import { buildDomainXml } from '../../../src/drivers/libvirt/domain-xml.ts';
import { parseXml } from '../../../src/drivers/libvirt/xml-reader.ts';
import type { XmlElement } from '../../../src/drivers/libvirt/xml.ts';
import { checkSegment, checkTap } from '../../../src/drivers/network/check.ts';
import { serviceWanted } from '../../../src/drivers/network/dnsmasq-config.ts';
import { bridgeTable, routerTable } from '../../../src/drivers/network/rules-segment.ts';
import { planHostLinks } from '../../../src/drivers/network/segment-links.ts';
import { port, spec, wanted } from './network/fixtures.ts';

const test = suite('sinks of hostile values');
const ROOT = join(import.meta.dirname, '../../..');

const HOSTILE = [
  '$(touch /tmp/pwned)',
  '`id`; rm -rf / #',
  '" onload="x',
  '</name><devices/><name>',
  "'; } table ip evil { chain c { } } #",
  'x\naddress=/#/6.6.6.6',
  'x\nlink delete eth0',
  'a,b\nc',
  '{{ template }}',
  '../../../etc/passwd',
  'a\u0000b',
  '\u202e☃\ufffe',
  ']]>&amp;<!--',
  '-o ProxyCommand=x',
  'x'.repeat(5_000),
];

const MACHINE = {
  capabilities: {
    accelerator: 'tcg',
    cpuModel: 'max',
    warning: null,
    libvirtVersion: '9.0.0',
    qemuVersion: '7.2.22',
  },
  machineType: 'q35',
  hasSpice: true,
} as const;
const CONSOLES = {
  consoleListen: '127.0.0.1',
  consolePort: 30_001,
  vdiListen: '127.0.0.1',
  vdiPort: 30_002,
  vdiTlsPort: 0,
};

function domain(text: string): string {
  const made = defineDomain(
    {
      instanceId: '6f0c1c52-3a55-4c0e-9a3a-5b1f6f5f2a10',
      name: text,
      namespace: text,
      cpus: 1,
      memoryMiB: 128,
      uefi: false,
      secureBoot: false,
      disks: [],
      nics: [{ tap: 'tap0', mac: '02:00:00:4e:91:0b', model: 'virtio', mtu: 1450 }],
      sideChannels: ['sf-agent'],
      video: { model: 'cirrus', memoryKiB: 16_384, vdi: 'spice' },
      power: 'on',
      powerOns: 1,
      hardReboots: 0,
      softReboots: 0,
    },
    MACHINE,
    '/instances/x',
    CONSOLES,
  );
  return buildDomainXml(made);
}

/** Names of elements, in order: what the text could have changed. */
function shapeOf({ name, children }: XmlElement): unknown {
  return [name, ...children.flatMap((one) => (typeof one === 'string' ? [] : [shapeOf(one)]))];
}

test('shell: there is none; programs are started with a list of arguments', async () => {
  for (const text of HOSTILE.filter((one) => !one.includes('\0'))) {
    const { stdout } = await exec('printf', ['%s', text], { trace: 'trace-1' });
    assert.is(stdout, text);
  }
  const sources = globSync(['src/**/*.ts', 'actors/**/*.ts', 'transport/**/*.ts'], { cwd: ROOT });
  assert.ok(sources.length > 100);
  // The guest's own shell, for the line that its owner means for it.
  for (const path of sources.filter((one) => one !== 'src/drivers/guest/qemu-agent.ts')) {
    const source = readFileSync(join(ROOT, path), 'utf8');
    // The guest's shell is the user's own, and gets the line that is meant for it.
    if (path === 'src/drivers/guest/qemu-agent.ts') continue;
    assert.not.match(source, /\bshell: (true|')|\bexecSync\(|\['-c',/, path);
  }
});

test('XML: a domain keeps its shape, whatever its instance is called', () => {
  const benign = shapeOf(parseXml(domain('web')));
  for (const text of HOSTILE) assert.equal(shapeOf(parseXml(domain(text))), benign, text);
});

test('nft: tables have the rules that they have for harmless names', () => {
  const harmless = wanted();
  for (const text of HOSTILE) {
    const hostile = wanted({}, { owner: text, trace: text });
    for (const table of [bridgeTable, routerTable]) {
      assert.is(table(hostile).body, table(harmless).body, text);
      assert.match(table(hostile).comment, /^[\w./-]* trace=[\w./-]*$/, text);
    }
    assert.throws(() => checkSegment(spec({ ports: [port(11, { floating: text })] })));
  }
});

test('dnsmasq: no name of a guest, a network or an entry brings a line of its own', () => {
  for (const text of HOSTILE) {
    assert.throws(
      () => checkSegment(spec({ ports: [port(11, { hostname: text })] })),
      undefined,
      text,
    );
    assert.throws(() => checkSegment(spec({ domain: `${text}.troupe` })), undefined, text);
    assert.throws(
      () => checkSegment(spec({ dnsEntries: [{ name: text, address: '10.20.0.9' }] })),
      undefined,
      text,
    );
  }
  const one = serviceWanted(wanted({ dnsEntries: [{ name: 'www', address: '10.20.0.9' }] }));
  assert.is(one?.names.split('\n').filter((line) => line.includes('www')).length, 1);
});

test('iproute2: a line of a batch stays one line, of a link of ours', () => {
  for (const text of HOSTILE) {
    const steps = planHostLinks(wanted({}, { owner: text, trace: text }), new Map());
    for (const { step } of steps) {
      for (const line of step.tool === 'ip' ? step.lines : []) {
        assert.match(line, /^(link|addr|address) [\w./ :"=-]+$/, text);
      }
    }
    const tap = { interfaceId: port(11).interfaceId, networkId: spec().networkId, mac: text };
    assert.throws(() => checkTap(tap), 'does not accept');
  }
});

const textOf = (content: string | Uint8Array = '') => Buffer.from(content).toString();

test('config drive: values come back from its JSON as they were, and name no file', () => {
  const input = {
    instanceId: '4df7a7f4-92c1-46d3-8f4e-2b1f61a0c9d7',
    interfaces: [],
    upstreamDns: '8.8.8.8',
    randomSeed: 'c2VlZA==',
  };
  const drive = (text: string, userData: string | null) => {
    const made = configDrive({
      ...input,
      name: 'web',
      namespace: text,
      zone: text,
      sshKey: text,
      userData,
    });
    if (!made.ok) throw new Error(made.reason);
    return made.files;
  };
  const harmless = Object.keys(drive('lab', 'IyEvYmluL3No'));
  for (const text of HOSTILE) {
    const files = drive(text, Buffer.from(text).toString('base64'));
    assert.equal(Object.keys(files), harmless, text);
    const told = textOf(files['openstack/latest/meta_data.json']);
    const meta = JSON.parse(told) as { availability_zone: string; public_keys: object };
    assert.is(meta.availability_zone, text);
    assert.equal(Object.values(meta.public_keys), [text]);
    assert.is(textOf(files['openstack/latest/user_data']), text);
  }
});

test.run();
