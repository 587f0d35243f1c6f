// Services that the configuration names: used as they are, and one sentence when they do not answer.
import { rejects } from 'node:assert/strict';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startEmbedded } from '../../../src/embedded/embedded.ts';
import { ownedProcesses } from '../../../src/embedded/owned-process.ts';
import { startEtcd } from '../../support/etcd.ts';
import { configOf, makeInstallation, type TestInstallation } from '../../support/installation.ts';
import { startLibvirtd } from '../../support/libvirtd.ts';

const test = suite('existing services');

let installation: TestInstallation;
test.before.each(async () => {
  installation = await makeInstallation();
});
test.after.each(() => installation.remove());

const start = (...flags: string[]) =>
  startEmbedded(configOf(installation.dataDir, flags), 'test', installation.log);

test('an etcd and a libvirtd that are named are used, and left running by a stop', async () => {
  const [etcd, libvirtd] = await Promise.all([startEtcd(), startLibvirtd()]);
  try {
    const services = await start('--etcd', etcd.url, '--libvirt', libvirtd.socketPath);
    assert.equal(services.etcd, { hosts: [etcd.url] });
    assert.is(services.libvirtSocket, libvirtd.socketPath);
    assert.equal(ownedProcesses(installation), []);
    await services.stop();
    assert.is(libvirtd.virsh('list', '--name').trim(), '');
  } finally {
    await Promise.all([etcd.stop(), libvirtd.stop()]);
  }
});

test('an etcd that does not answer is named, with the way out', async () => {
  const etcd = await startEtcd();
  await etcd.stop();
  await rejects(start('--etcd', etcd.url), {
    code: 'store/unavailable',
    message: new RegExp(`^no etcd answers at ${etcd.url} \\(.*ECONNREFUSED.*leave out --etcd`),
  });
});

test('a libvirtd that does not answer is named, and our own etcd is ended again', async () => {
  const socket = join(installation.dataDir, 'no-socket');
  await rejects(start('--libvirt', socket), {
    code: 'hypervisor/unavailable',
    message: /^no libvirtd answers at .*no-socket \(.*leave out --libvirt/,
  });
  assert.equal(ownedProcesses(installation), []);
});

test.run();
