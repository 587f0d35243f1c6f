// What a node that joins is told: the settings that all nodes of a cluster share, and the way to its etcd.
import { readFileSync } from 'node:fs';
import type { Admitted } from '../cluster/join-messages.ts';
import type { Config } from '../config.ts';

/** Read anew for each daemon: files of an etcd that somebody else runs may be renewed. */
export function sharedSettings(config: Config): Omit<Admitted, 'certificate'> {
  const { cluster, zone, floatingBlock, upstreamDns, underlay, etcd, mesh } = config;
  const settings = {
    zone,
    'floating-block': floatingBlock,
    'upstream-dns': upstreamDns,
    'vxlan-port': underlay.vxlanPort,
  };
  const read = (path: string | null) => (path === null ? null : readFileSync(path, 'utf8'));
  if (etcd.endpoints.length === 0) {
    const endpoints = [`https://${mesh?.host ?? '127.0.0.1'}:${etcd.port}`];
    return { cluster, settings, etcd: { endpoints, ca: null, certificate: null, key: null } };
  }
  const { endpoints, caFile, certificateFile, keyFile } = etcd;
  const files = { ca: read(caFile), certificate: read(certificateFile), key: read(keyFile) };
  return { cluster, settings, etcd: { endpoints: [...endpoints], ...files } };
}
