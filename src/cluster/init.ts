// Makes a cluster of which this machine is the first member: authorities, its own certificate, settings.
import { randomUUID } from 'node:crypto';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { PeerAddress } from '../../transport/mesh/socket.ts';
import { certifyNode, makeAuthority } from './authority.ts';
import { clusterFiles, filesIn, isInCluster } from './files.ts';
import { newKeyPair } from './key-pair.ts';
import { addSettings } from './settings-file.ts';

export interface FirstNode {
  readonly dataDir: string;
  readonly cluster: string;
  readonly node: string;
  /** Where its mesh will listen. */
  readonly address: PeerAddress;
}

/** Takes effect at the daemon's next start. Errors: `config/invalid` when the machine is in a cluster already; those of openssl. */
export async function initCluster({ dataDir, cluster, node, address }: FirstNode): Promise<void> {
  refuseSecond(dataDir);
  const trace = randomUUID();
  const { directory } = clusterFiles(dataDir);
  // Whole or not at all: what a broken-off try left is no cluster.
  const unfinished = filesIn(`${directory}.new`);
  await rm(unfinished.directory, { recursive: true, force: true });
  await mkdir(unfinished.directory, { recursive: true, mode: 0o700 });
  const nodes = { certificate: unfinished.authority, key: unfinished.authorityKey };
  const guests = { certificate: unfinished.inviter, key: unfinished.inviterKey };
  await makeAuthority(nodes, `troupe ${cluster}`, trace);
  await makeAuthority(guests, `troupe ${cluster} invitations`, trace);
  const publicKey = await newKeyPair(unfinished.key);
  const certificate = await certifyNode(nodes, { publicKey, name: node }, address.host, trace);
  await writeFile(unfinished.certificate, certificate, { flush: true });
  const { host, port } = address;
  // Settings first: with them alone a daemon does not start, and says that the cluster has to be made.
  addSettings(dataDir, { node, cluster, 'mesh-address': host, 'mesh-port': port });
  await rename(unfinished.directory, directory);
}

/** Errors: `config/invalid` when the machine is in a cluster already. */
export function refuseSecond(dataDir: string): void {
  if (!isInCluster(dataDir)) return;
  const { directory } = clusterFiles(dataDir);
  const message = `this machine is in a cluster already (${directory}); to leave it for another, stop the daemon and move that directory away`;
  throw new TroupeError('config/invalid', message);
}

/** The machine's only IPv4 address that others could reach. Error: `config/invalid` when there is none, or several. */
export function ownAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const found = all.filter((one) => one.family === 'IPv4' && !one.internal);
  const [only] = found;
  if (only !== undefined && found.length === 1) return only.address;
  const which = found.map((one) => one.address).join(', ') || 'none';
  const message = `say by which address other machines reach this one (--address); it has ${which}`;
  throw new TroupeError('config/invalid', message);
}
