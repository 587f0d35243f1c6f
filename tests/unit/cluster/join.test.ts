// A cluster is made, machines are invited and join it: real certificates, real TLS, a store in memory.
import { rejects, throws } from 'node:assert/strict';
import { generateKeyPairSync, sign, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { systemClock } from '../../../actors/kernel/clock.ts';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { admission, isGuest } from '../../../src/cluster/admission.ts';
import { clusterFiles, isInCluster, readIdentity } from '../../../src/cluster/files.ts';
import { initCluster } from '../../../src/cluster/init.ts';
import { invite, readInvitation, type Terms } from '../../../src/cluster/invitation.ts';
import { joinCluster } from '../../../src/cluster/join.ts';
import { claimOf } from '../../../src/cluster/join-messages.ts';
import { Mesh } from '../../../transport/mesh/mesh.ts';
import { clusterKeys } from '../../../transport/store/keys.ts';
import { MemoryCluster } from '../../../transport/store/memory-cluster.ts';
import { MemoryStore } from '../../../transport/store/memory-store.ts';
import { keptLog } from '../../support/kernel.ts';
import { helloOf } from '../../support/mesh-lab.ts';

const test = suite('joining a cluster');
const directory = mkdtempSync(join(tmpdir(), `troupe-join-${process.pid}-`));
const alive = setInterval(() => undefined, 1_000);
let made = 0;
let door: Mesh;
let first = '';

const shared = {
  cluster: 'lab',
  settings: { zone: 'lab.test', 'floating-block': '192.0.2.0/24', 'of-tomorrow': 1 },
  etcd: { endpoints: ['https://10.0.0.1:2379'], ca: null, certificate: null, key: null },
};

const FIRST = () => ({ dataDir: first, node: 'first' });

function newDirectory(): string {
  return join(directory, `node-${++made}`);
}

test.before(async () => {
  first = newDirectory();
  const address = { host: '127.0.0.1', port: 1 };
  await initCluster({ dataDir: first, cluster: 'lab', node: 'first', address });
  const store = new MemoryStore({ cluster: new MemoryCluster({ clock: systemClock }) });
  const files = clusterFiles(first);
  const keys = clusterKeys('lab');
  const { log } = keptLog();
  door = await Mesh.open({
    hello: helloOf('first'),
    identity: readIdentity({ dataDir: first, node: 'first' }),
    listen: { host: '127.0.0.1', port: 0 },
    guests: {
      ca: readFileSync(files.inviter, 'utf8'),
      isGuest,
      handle: admission({ files, store, keys, shared, log }),
    },
    addressOf: () => undefined,
    handle: () => Promise.resolve({ value: null, revision: 0 }),
    clock: systemClock,
    random: Math.random,
    log,
  });
});
test.after(async () => {
  clearInterval(alive);
  await door.close();
  rmSync(directory, { recursive: true });
});

function invitation(terms: Partial<Terms> = {}): Promise<string> {
  const address = { host: '127.0.0.1', port: door.port };
  return invite(clusterFiles(first), { address, days: 1, node: null, ...terms }, 'test');
}

function joinAs(node: string, text: string, dataDir = newDirectory()) {
  const address = '10.0.0.2';
  return joinCluster(readInvitation(text), { dataDir, node, address, port: 13_010 });
}

test('the first machine has both authorities, whose keys nobody else can read', () => {
  const { directory: place, authorityKey, inviterKey, key } = clusterFiles(first);
  assert.is(statSync(place).mode & 0o777, 0o700);
  for (const file of [authorityKey, inviterKey, key]) {
    assert.is(statSync(file).mode & 0o777, 0o600, file);
  }
  const settings = JSON.parse(readFileSync(join(first, 'troupe.json'), 'utf8')) as object;
  assert.equal(settings, {
    node: 'first',
    cluster: 'lab',
    'mesh-address': '127.0.0.1',
    'mesh-port': 1,
  });
});

test('an invited machine gets a certificate in its name and the settings that all share', async () => {
  const dataDir = newDirectory();
  await joinAs('n2', await invitation(), dataDir);
  const identity = readIdentity({ dataDir, node: 'n2' });
  const certificate = new X509Certificate(identity.certificate);
  assert.is(certificate.subject, 'CN=n2');
  assert.ok(certificate.verify(new X509Certificate(identity.ca).publicKey));
  assert.is(certificate.subjectAltName, 'DNS:localhost, IP Address:127.0.0.1, IP Address:10.0.0.2');
  const files = clusterFiles(dataDir);
  assert.not(existsSync(files.authorityKey), 'the authority stays where it is');
  const settings = JSON.parse(readFileSync(join(dataDir, 'troupe.json'), 'utf8')) as object;
  assert.equal(settings, {
    zone: 'lab.test',
    'floating-block': '192.0.2.0/24',
    etcd: ['https://10.0.0.1:2379'],
    'etcd-name': 'localhost',
    'etcd-ca': files.authority,
    'etcd-certificate': files.certificate,
    'etcd-key': files.key,
    cluster: 'lab',
    node: 'n2',
    'mesh-address': '10.0.0.2',
    'mesh-port': 13_010,
  });
});

test('an invitation admits one machine', async () => {
  const text = await invitation();
  await joinAs('n3', text);
  await rejects(joinAs('n4', text), /used already/);
});

test('the answer that was lost is given again to the same machine', async () => {
  const text = await invitation();
  const dataDir = newDirectory();
  await joinAs('n5', text, dataDir);
  // As if the daemon had died before it was renamed into place.
  const { directory: place } = clusterFiles(dataDir);
  renameSync(place, `${place}.joining`);
  await joinAs('n5', text, dataDir);
  assert.is(
    readIdentity({ dataDir, node: 'n5' }).ca,
    readFileSync(clusterFiles(first).authority, 'utf8'),
  );
});

test('who found a used invitation and knows the public key of its node is told nothing', async () => {
  const text = await invitation();
  const dataDir = newDirectory();
  await joinAs('n12', text, dataDir);
  // Anybody learns it who connects with the node: a server shows its certificate first.
  const { publicKey } = new X509Certificate(readIdentity({ dataDir, node: 'n12' }).certificate);
  const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const application = { node: 'n12', publicKey: pem, address: '10.0.0.66' };
  const thief = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const { subject } = new X509Certificate(readInvitation(text).certificate);
  const claim = claimOf(subject.slice(3), application);
  for (const proof of ['', 'AAAA', sign('sha256', claim, thief).toString('base64')]) {
    const { status, body } = await post(text, { ...application, proof });
    assert.is(status, 403, body);
    assert.match(body, /proof is no signature/);
  }
  assert.is((await post(text, application)).status, 400);
});

/** What the door answers to a request that bears the invitation. */
async function post(text: string, body: object): Promise<{ status?: number; body: string }> {
  const { address, authority: ca, certificate: cert, key } = readInvitation(text);
  const sent = request({ ...address, path: '/join', method: 'POST', ca, cert, key, ...ANY_NAME });
  sent.end(JSON.stringify(body));
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  let answer = '';
  for await (const chunk of response) answer += String(chunk);
  return { status: response.statusCode ?? 0, body: answer };
}

const ANY_NAME = { agent: false, checkServerIdentity: () => undefined };

test('what could not be finished is begun again: a machine is never half in a cluster', async () => {
  const dataDir = newDirectory();
  mkdirSync(dataDir);
  // Settings that cannot be written stand for a machine that went down at that point.
  const settings = join(dataDir, 'troupe.json');
  writeFileSync(settings, 'no JSON');
  const text = await invitation();
  await rejects(joinAs('n13', text, dataDir), /is not JSON/);
  assert.not(isInCluster(dataDir));
  rmSync(settings);
  await joinAs('n13', text, dataDir);
  assert.is(readIdentity({ dataDir, node: 'n13' }).ca, readIdentity(FIRST()).ca);
});

test('the same of the first machine', async () => {
  const dataDir = newDirectory();
  mkdirSync(dataDir);
  const settings = join(dataDir, 'troupe.json');
  writeFileSync(settings, 'no JSON');
  const address = { host: '127.0.0.1', port: 1 };
  const options = { dataDir, cluster: 'lab', node: 'one', address };
  await rejects(initCluster(options), /is not JSON/);
  assert.not(isInCluster(dataDir));
  rmSync(settings);
  await initCluster(options);
  assert.ok(existsSync(settings));
});

test('a machine that was about to make its own cluster takes none of its authorities along', async () => {
  const dataDir = newDirectory();
  await initCluster({ dataDir, cluster: 'own', node: 'n14', address: { host: '::1', port: 1 } });
  const { directory: place, authorityKey, inviter } = clusterFiles(dataDir);
  renameSync(place, `${place}.new`);
  await joinAs('n14', await invitation(), dataDir);
  for (const file of [authorityKey, inviter]) assert.not(existsSync(file), file);
});

test('a setting that a newer node tells and this version does not know is left out', async () => {
  const dataDir = newDirectory();
  await joinAs('n15', await invitation(), dataDir);
  const settings = JSON.parse(readFileSync(join(dataDir, 'troupe.json'), 'utf8')) as object;
  // The daemon refuses a settings file with a name that it does not know.
  assert.not('of-tomorrow' in settings);
});

test('an answer that is none of a door is said to be one', async () => {
  const { certificate, key } = readIdentity(FIRST());
  const odd = createServer({ cert: certificate, key }, (_request, response) => {
    response.writeHead(426).end('odd');
  });
  odd.listen(0, '127.0.0.1');
  await once(odd, 'listening');
  const { port } = odd.address() as AddressInfo;
  const text = await invitation({ address: { host: '127.0.0.1', port } });
  const failed = await joinAs('n16', text).catch((error: unknown) => error);
  odd.close();
  assert.instance(failed, TroupeError);
  assert.match(String(failed), /no mesh of a cluster answers at 127\.0\.0\.1 port \d+: .*426/);
});

test('an invitation for a name that no node can have is not made', async () => {
  for (const node of ['N3', 'n3/CN=n4', '']) {
    await rejects(invitation({ node }), { code: 'config/invalid' }, node);
  }
});

test('a name is given once, unless the invitation is for it', async () => {
  await joinAs('n6', await invitation());
  await rejects(joinAs('n6', await invitation()), /there is, or was, a node called n6/);
  await rejects(joinAs('n7', await invitation({ node: 'n6' })), /this invitation is for n6/);
  await joinAs('n6', await invitation({ node: 'n6' }));
});

test('a machine is in one cluster only', async () => {
  const dataDir = newDirectory();
  await joinAs('n8', await invitation(), dataDir);
  await rejects(joinAs('n9', await invitation(), dataDir), /in a cluster already/);
  const address = { host: '127.0.0.1', port: 1 };
  await rejects(
    initCluster({ dataDir, cluster: 'lab', node: 'n8', address }),
    /in a cluster already/,
  );
});

test('a name that is none, and a certificate of another name, are refused', async () => {
  await rejects(joinAs('Not A Name', await invitation()), /application/);
  const dataDir = newDirectory();
  await joinAs('n10', await invitation(), dataDir);
  throws(() => readIdentity({ dataDir, node: 'renamed' }), /start with --node n10/);
  throws(() => readIdentity({ dataDir: newDirectory(), node: 'x' }), /troupe cluster init/);
});

test('what is no invitation is said to be none; one cut short too', async () => {
  const text = await invitation();
  for (const odd of ['', 'hello', text.slice(0, 200), text.replace('troupe1', 'troupe9')]) {
    throws(() => readInvitation(odd), /no invitation/, odd);
  }
});

test('an invitation opens nothing but the door', async () => {
  const { authority, certificate, key } = readInvitation(await invitation());
  const peer = await Mesh.open({
    hello: helloOf('guest'),
    identity: { ca: authority, certificate, key },
    listen: { host: '127.0.0.1', port: 0 },
    addressOf: () => ({ host: '127.0.0.1', port: door.port }),
    handle: () => Promise.resolve({ value: null, revision: 0 }),
    clock: systemClock,
    random: Math.random,
    log: () => undefined,
  });
  const options = { trace: 't', timeoutMs: 5_000 };
  await rejects(peer.ask('first', { kind: 'job', id: 'x' }, 1, options), {
    code: 'mesh/unreachable',
  });
  assert.is(door.linkCount, 0);
  await peer.close();
});

test('one authority does not sign for the other', async () => {
  const { certificate } = readInvitation(await invitation());
  const { authority, inviter } = clusterFiles(first);
  const guest = new X509Certificate(certificate);
  const keyOf = (file: string) => new X509Certificate(readFileSync(file)).publicKey;
  assert.not(guest.verify(keyOf(authority)), 'etcd trusts this one');
  assert.ok(guest.verify(keyOf(inviter)));
});

test('a daemon that is not there is named', async () => {
  const text = await invitation({ address: { host: '127.0.0.1', port: 9 } });
  await rejects(joinAs('n11', text), /127\.0\.0\.1 port 9/);
});

test.run();
