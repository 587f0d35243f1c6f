// The authority of SPICE consoles and a machine's certificate of it, made by the real openssl.
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { consoleAuthority, ensureConsoleCertificate } from '../../../src/daemon/console-tls.ts';
import { consoleTlsDirectory } from '../../../src/embedded/libvirtd-settings.ts';
import { systemClock } from '../../../actors/kernel/clock.ts';
import { clusterKeys } from '../../../transport/store/keys.ts';
import { MemoryCluster } from '../../../transport/store/memory-cluster.ts';
import { MemoryStore } from '../../../transport/store/memory-store.ts';

const test = suite('console TLS');
const YEAR_MS = 365 * 86_400_000;
let dataDir: string;

test.before.each(() => {
  dataDir = mkdtempSync(join(tmpdir(), `troupe-console-tls-${process.pid}-`));
});
test.after.each(() => rmSync(dataDir, { recursive: true, force: true }));

const keys = clusterKeys('test');
const made = (store: MemoryStore) =>
  consoleAuthority({ store, keys, cluster: 'test', dataDir, trace: 't' });
const shown = () => readFileSync(join(consoleTlsDirectory(dataDir), 'server-cert.pem'), 'utf8');
const machine = (change: object = {}) => ({
  dataDir,
  node: 'hv-02.example.net',
  addresses: ['192.0.2.7'],
  nowMs: Date.now(),
  trace: 't',
  ...change,
});

test('whoever starts first makes the authority, all others use it', async () => {
  const store = new MemoryStore({ cluster: new MemoryCluster({ clock: systemClock }) });
  const [one, two] = await Promise.all([made(store), made(store)]);
  assert.equal(one, two);
  assert.equal(await made(store), one);
  assert.ok(new X509Certificate(one.certificate).ca);
  assert.equal(readdirSync(dataDir), [], 'its key is on no disk');
});

test('a machine shows its name and addresses, for servers only, with a key that is its own to read', async () => {
  const authority = await made(
    new MemoryStore({ cluster: new MemoryCluster({ clock: systemClock }) }),
  );
  await ensureConsoleCertificate(authority, machine());
  const certificate = new X509Certificate(shown());
  assert.ok(certificate.verify(new X509Certificate(authority.certificate).publicKey));
  assert.ok(certificate.checkHost('hv-02.example.net'));
  assert.ok(certificate.checkIP('192.0.2.7'));
  assert.not(certificate.ca);
  assert.equal(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1']);
  const key = join(consoleTlsDirectory(dataDir), 'server-key.pem');
  assert.is(statSync(key).mode & 0o777, 0o600);
  assert.equal(readdirSync(dataDir), ['console-tls'], 'the authority is not left beside it');
});

test('it is kept as long as it fits, and made anew when it does not', async () => {
  const authority = await made(
    new MemoryStore({ cluster: new MemoryCluster({ clock: systemClock }) }),
  );
  await ensureConsoleCertificate(authority, machine());
  let before = shown();
  const isKept = async (change: object = {}, by = authority) => {
    await ensureConsoleCertificate(by, machine(change));
    const same = shown() === before;
    before = shown();
    return same;
  };
  assert.ok(await isKept());
  assert.not(await isKept({ addresses: ['192.0.2.8'] }), 'another address');
  assert.not(await isKept({ node: 'other' }), 'another name');
  assert.ok(await isKept({ node: 'other', nowMs: Date.now() + 8 * YEAR_MS }));
  assert.not(await isKept({ node: 'other', nowMs: Date.now() + 9.1 * YEAR_MS }), 'ends soon');
  assert.not(
    await isKept(
      { node: 'other' },
      await made(new MemoryStore({ cluster: new MemoryCluster({ clock: systemClock }) })),
    ),
  );
  writeFileSync(join(consoleTlsDirectory(dataDir), 'server-cert.pem'), '');
  before = '';
  assert.not(await isKept({ node: 'other' }), 'cut off');
});

test.run();
