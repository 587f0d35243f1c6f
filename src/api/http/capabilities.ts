// The words that clients look for on the front page before they use a feature (contract: conventions 2.2): each belongs to
// routes, and is said only where all of them work.
import type { Route } from './route.ts';

const INSTANCE = '/instances/:ref';
const METADATA = ['GET', 'POST'] as const;

/** By group, as the page shows them; the names of path variables don't matter. */
const WORDS: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  admin: {
    'cluster-cacert': ['GET /admin/cacert'],
    'cluster-resources': ['GET /admin/resources'],
  },
  'agent operations': {
    'agentoperations-crud': ['GET /agentoperations/:uuid', 'DELETE /agentoperations/:uuid'],
    'instance-agentoperations': [`GET ${INSTANCE}/agentoperations`],
    'instance-agentoperations-all': [`GET ${INSTANCE}/agentoperations`],
  },
  artifacts: {
    'artifact-metadata': METADATA.map((method) => `${method} /artifacts/:ref/metadata`),
    'artifact-upload-types': ['POST /artifacts/upload/:name', 'POST /upload'],
  },
  blobs: {
    'blob-events': ['GET /blobs/:uuid/events'],
    'blob-metadata': METADATA.map((method) => `${method} /blobs/:uuid/metadata`),
    'blob-search-by-hash': ['GET /blob_checksums/:algorithm/:hash'],
    // Not blob-data-limit: clients that see it read large blobs in an endless loop (contract: artifacts 11.8).
    'blob-hash-sha1': ['GET /blob_checksums/:algorithm/:hash'],
    'blob-hash-sha256': ['GET /blob_checksums/:algorithm/:hash'],
    'blob-hash-xxh128': ['GET /blob_checksums/:algorithm/:hash'],
  },
  events: {
    'events-by-type': [`GET ${INSTANCE}/events`, 'GET /networks/:ref/events'],
  },
  instances: {
    'pure-affinity': ['POST /instances'],
    'spice-vdi-console': ['POST /instances'],
    'vdi-console-helper': [`GET ${INSTANCE}/vdiconsolehelper`],
    'instance-put-blob': [`POST ${INSTANCE}/agent/put`],
    'instance-execute': [`POST ${INSTANCE}/agent/execute`],
    'instance-get': [`POST ${INSTANCE}/agent/get`],
    'instance-screenshot': [`GET ${INSTANCE}/screenshot`, 'GET /blobs/:uuid/data'],
    'get-instance-namespace': [`GET ${INSTANCE}`],
    'hot-plug-interface': [`POST ${INSTANCE}/interfaces`],
  },
  networks: {
    'list-addresses': ['GET /networks/:ref/addresses'],
    'route-addresses': ['POST /networks/:ref/route', 'DELETE /networks/:ref/route/:address'],
    'get-network-namespace': ['GET /networks/:ref'],
    'provide-dns': ['POST /networks'],
    'extra-dns-entries': ['POST /networks/:ref/dns', 'DELETE /networks/:ref/dns'],
  },
  'network interfaces': {
    'interface-metadata': METADATA.map((method) => `${method} /interfaces/:uuid/metadata`),
  },
  nodes: {
    'node-get': ['GET /nodes/:node'],
    'node-metadata': METADATA.map((method) => `${method} /nodes/:node/metadata`),
    'node-process-metrics': ['GET /nodes/:node/processmetrics'],
  },
};

/** Groups that have a word, with their words. */
export function capabilities(routes: readonly Route[]): [group: string, words: string[]][] {
  const working = routes.filter(({ missing }) => missing === null);
  const there = new Set(working.map(({ method, path }) => shapeOf(`${method} ${path}`)));
  const isThere = (at: string) => there.has(shapeOf(at));
  return Object.entries(WORDS).flatMap(([group, words]): [string, string[]][] => {
    const said = Object.keys(words).filter((word) => words[word]?.every(isThere) === true);
    return said.length === 0 ? [] : [[group, said]];
  });
}

/** Method and path, whatever its variables are called: `GET /instances/:instance_ref` becomes `GET /instances/*`. */
export function shapeOf(at: string): string {
  return at.replace(/:\w+/g, '*');
}
