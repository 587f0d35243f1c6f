// The front page: names the service and lists the capability words that clients look for (contract: conventions 2).
import { closed, Type } from '../../../actors/kernel/schema.ts';
import { capabilities } from './capabilities.ts';
import { json, route, type Route } from './route.ts';
import type { ApiServices } from '../services.ts';

const Health = closed({
  node: Type.String(),
  /** Store revision of its copy. */
  revision: Type.Integer(),
  /** It has lost the store: its copy may be old. */
  stale: Type.Boolean(),
});

const HTML = 'text/html; charset=utf-8';

/** `routes`: those that are said to work. */
export function rootRoutes(services: ApiServices, routes: () => readonly Route[]): Route[] {
  let page: Buffer | undefined;
  return [
    route('GET /', {
      summary: 'Front page: names the service and lists the capability words',
      answer: { bytes: HTML },
      access: 'public',
      handle: () => ({
        kind: 'bytes',
        contentType: HTML,
        bytes: (page ??= Buffer.from(frontPage(routes()))),
      }),
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

/** Links are relative: a proxy may serve the API below a path of its own. */
function frontPage(routes: readonly Route[]): string {
  const lists = capabilities(routes).map(
    ([group, words]) => `<li>${group}: ${words.join(', ')}</li>`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Troupe</title></head>
<body><h1>Troupe</h1>
<p>This is the API of a Troupe private cloud. Log in with <code>POST /auth</code>; the command line is <code>troupe</code>.</p>
<p>All routes, to read and to try: <a href="apidocs/">the API browser</a>, made from <a href="openapi.json">the OpenAPI description</a>.</p>
<ul>${lists.join('')}</ul></body></html>
`;
}
