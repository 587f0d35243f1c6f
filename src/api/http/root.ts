// The front page: names the service and lists the capability words that clients look for (contract: conventions 2).
import { closed, Type } from '../../../actors/kernel/schema.ts';
import { json, route, type Route } from './route.ts';
import type { ApiServices } from '../services.ts';

const Health = closed({
  node: Type.String(),
  /** Store revision of its copy. */
  revision: Type.Integer(),
  /** It has lost the store: its copy may be old. */
  stale: Type.Boolean(),
});

/** Only those that really work. */
const CAPABILITIES = {
  admin: ['cluster-cacert'],
  events: ['events-by-type'],
  instances: [
    'get-instance-namespace',
    'pure-affinity',
    'hot-plug-interface',
    'vdi-console-helper',
    'spice-vdi-console',
  ],
  'network interfaces': ['interface-metadata'],
  nodes: ['node-get', 'node-metadata'],
  networks: ['get-network-namespace', 'list-addresses', 'provide-dns'],
} as const;

export function rootRoutes(services: ApiServices): Route[] {
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
    route('GET /healthz', {
      summary: 'Whether this daemon is alive, and how far its copy of the store has come',
      answer: { json: Health },
      access: 'public',
      handle: () =>
        json({
          node: services.node,
          revision: services.read.revision,
          stale: services.read.isStale,
        }),
    }),
  ];
}
