// The front page: names the service and lists the capability words that clients look for (contract: conventions 2).
import { route, type Route } from './route.ts';

/** Only those that really work. */
const CAPABILITIES = {
  admin: ['cluster-resources'],
  artifacts: ['artifact-metadata', 'artifact-upload-types'],
  // Not blob-data-limit: clients that see it read large blobs in an endless loop (contract: artifacts 11.8).
  blobs: ['blob-metadata', 'blob-search-by-hash', 'blob-hash-sha256'],
  events: ['events-by-type'],
  instances: ['get-instance-namespace', 'pure-affinity', 'hot-plug-interface'],
  'network interfaces': ['interface-metadata'],
  nodes: ['node-get', 'node-metadata'],
  networks: [
    'get-network-namespace',
    'list-addresses',
    'provide-dns',
    'route-addresses',
    'extra-dns-entries',
  ],
} as const;

export function rootRoutes(): Route[] {
  const lists = Object.entries(CAPABILITIES).map(
    ([group, words]) => `<li>${group}: ${words.join(', ')}</li>`,
  );
  const page = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Troupe</title></head>
<body><h1>Troupe</h1>
<p>This is the API of a Troupe private cloud. Log in with <code>POST /auth</code>; the command line is <code>troupe</code>.</p>
<ul>${lists.join('')}</ul></body></html>
`;
  const bytes = Buffer.from(page);
  return [
    route('GET /', {
      summary: 'Front page: names the service and lists the capability words',
      answer: { bytes: 'text/html; charset=utf-8' },
      access: 'public',
      handle: () => ({ kind: 'bytes', contentType: 'text/html; charset=utf-8', bytes }),
    }),
  ];
}
