import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { X509Certificate } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ensureKeyPair } from '../../../src/embedded/etcd-certificate.ts';

const test = suite('etcd certificate');

let directory = '';
test.before.each(() => {
  directory = mkdtempSync(join(tmpdir(), `troupe-tls-${process.pid}-`));
});
test.after.each(() => rmSync(directory, { recursive: true }));

test('it names the loopback only, lasts, and its key is for root alone', async () => {
  const pair = await ensureKeyPair(directory, 'test');
  const certificate = new X509Certificate(readFileSync(pair.certificateFile));
  assert.is(certificate.subjectAltName, 'DNS:localhost, IP Address:127.0.0.1');
  assert.ok(certificate.validToDate.getTime() > Date.now() + 3600 * 24 * 3600 * 1000);
  assert.is(statSync(pair.keyFile).mode & 0o777, 0o600);
});

test('it is made once', async () => {
  const first = readFileSync((await ensureKeyPair(directory, 'test')).certificateFile);
  const second = readFileSync((await ensureKeyPair(directory, 'test')).certificateFile);
  assert.equal(first, second);
});

test('one whose key is another is made anew, as after a crash between the two files', async () => {
  const pair = await ensureKeyPair(directory, 'test');
  const old = readFileSync(pair.certificateFile);
  const elsewhere = await ensureKeyPair(join(directory, 'elsewhere'), 'test');
  writeFileSync(pair.keyFile, readFileSync(elsewhere.keyFile));
  const renewed = readFileSync((await ensureKeyPair(directory, 'test')).certificateFile);
  assert.not.equal(renewed, old);
});

test.run();
