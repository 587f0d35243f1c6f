// The etcd and the libvirtd that this daemon uses: those that the configuration names, or its own.
//
// B1  Services of its own are adopted or started, one after the other, and are ready when startEmbedded()
//     resolves. Existing ones are asked whether they answer, so that a wrong setting is one sentence.
// B2  A start that fails leaves running what it found running, and nothing that it started; virtual
//     machines are never ended by a failed start.
import { readFile } from 'node:fs/promises';
import { reasonOf, TroupeError } from '../../actors/kernel/errors.ts';
import type { Log } from '../../actors/kernel/ports.ts';
import { clusterFiles } from '../cluster/files.ts';
import type { Config } from '../config.ts';
import { connectLibvirt } from '../drivers/libvirt/client.ts';
import { checkEtcdHealth, type EtcdAccess, type EtcdCredentials } from './etcd-health.ts';
import { startEtcd, type EtcdInCluster } from './etcd.ts';
import { startLibvirtd } from './libvirtd.ts';
import { claimRunDirectory, removeRunDirectory } from './run-directory.ts';
import type { Service } from './service.ts';

export interface EmbeddedServices {
  readonly etcd: EtcdAccess;
  /** libvirtd's read-write socket. */
  readonly libvirtSocket: string;
  /** Ends our own services and the virtual machines that still run; removes the run directory. */
  stop(): Promise<void>;
  /** Leaves all of it running for the next daemon. */
  release(): Promise<void>;
}

type Settings = Pick<Config, 'dataDir' | 'runDir' | 'logDir' | 'etcd' | 'libvirtSocket' | 'mesh'>;

const EXISTING_TIMEOUT_MS = 10_000;

/**
 * Brings both up. The data directory is locked by the caller (lockDataDirectory). Errors: those of
 * startService(), `store/unavailable` and `hypervisor/unavailable` for existing ones, `config/invalid`.
 */
export async function startEmbedded(
  config: Settings,
  trace: string,
  log: Log,
): Promise<EmbeddedServices> {
  const own: Service[] = [];
  await claimRunDirectory(config.runDir, config.dataDir);
  const place = {
    dataDirectory: config.dataDir,
    runDirectory: config.runDir,
    logDirectory: config.logDir,
    trace,
  };
  try {
    const etcd = await useEtcd(config, own, () =>
      startEtcd({ ...place, cluster: inCluster(config) }, log),
    );
    const libvirt = await useLibvirt(config, own, () => startLibvirtd(place, log));
    return {
      etcd,
      libvirtSocket: libvirt.socketPath,
      async stop() {
        // libvirtd first: it would take the end of its machines for crashes of theirs.
        for (const service of own.toReversed()) await service.stop();
        await libvirt.endDomains();
        await removeRunDirectory(config.runDir);
      },
      async release() {
        for (const service of own) await service.release();
      },
    };
  } catch (error) {
    for (const service of own) await (service.isAdopted ? service.release() : service.stop());
    throw error;
  }
}

function inCluster({ mesh, dataDir, etcd }: Settings): EtcdInCluster | null {
  if (mesh === null) return null;
  const { authority: authorityFile, certificate: certificateFile, key } = clusterFiles(dataDir);
  return { address: mesh.host, port: etcd.port, authorityFile, certificateFile, keyFile: key };
}

async function useEtcd(
  { etcd }: Settings,
  own: Service[],
  start: () => ReturnType<typeof startEtcd>,
): Promise<EtcdAccess> {
  if (etcd.endpoints.length === 0) {
    const service = await start();
    own.push(service);
    return service.access();
  }
  const credentials = await readCredentials(etcd);
  const access = {
    hosts: etcd.endpoints,
    ...(credentials && { credentials }),
    ...(etcd.serverName === null ? {} : { serverName: etcd.serverName }),
  };
  const signal = AbortSignal.timeout(EXISTING_TIMEOUT_MS);
  const answers = etcd.endpoints.map((url) => checkEtcdHealth(url, credentials, signal));
  try {
    await Promise.any(answers);
    return access;
  } catch (error) {
    const reasons = error instanceof AggregateError ? error.errors.map(reasonOf).join('; ') : '';
    const message = `no etcd answers at ${etcd.endpoints.join(', ')} (${reasons}): start it, or leave out --etcd to run one of our own`;
    throw new TroupeError('store/unavailable', message, {}, error);
  }
}

async function useLibvirt(
  { libvirtSocket }: Settings,
  own: Service[],
  start: () => ReturnType<typeof startLibvirtd>,
): Promise<{ readonly socketPath: string; endDomains(): Promise<void> }> {
  if (libvirtSocket === null) {
    const service = await start();
    own.push(service);
    return service;
  }
  try {
    const timeouts = { connectTimeoutMs: EXISTING_TIMEOUT_MS };
    await (await connectLibvirt({ socketPath: libvirtSocket, ...timeouts })).close();
  } catch (error) {
    const message = `no libvirtd answers at ${libvirtSocket} (${reasonOf(error)}): start it, or leave out --libvirt to run one of our own`;
    throw new TroupeError('hypervisor/unavailable', message, { socket: libvirtSocket }, error);
  }
  // Somebody else's libvirtd: only the domains that carry our mark are ours, and those its driver ends.
  return { socketPath: libvirtSocket, endDomains: () => Promise.resolve() };
}

async function readCredentials(etcd: Config['etcd']): Promise<EtcdCredentials | undefined> {
  const { caFile, certificateFile, keyFile } = etcd;
  if (caFile === null && keyFile === null) return undefined;
  const read = async (name: string, path: string | null) => {
    try {
      return path === null ? undefined : await readFile(path);
    } catch (error) {
      const message = `setting ${name}: ${path} cannot be read (${reasonOf(error)})`;
      throw new TroupeError('config/invalid', message, { setting: name }, error);
    }
  };
  const rootCertificate = await read('etcd-ca', caFile);
  const certChain = await read('etcd-certificate', certificateFile);
  const privateKey = await read('etcd-key', keyFile);
  if (rootCertificate === undefined) {
    const message = 'setting etcd-ca: expected a file with the certificate that signs that etcd';
    throw new TroupeError('config/invalid', message, { setting: 'etcd-ca' });
  }
  return certChain === undefined || privateKey === undefined
    ? { rootCertificate }
    : { rootCertificate, certChain, privateKey };
}
