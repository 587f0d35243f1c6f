// The front page: names the service and lists the capability words that clients look for (contract: conventions 2).
import { capabilities } from './capabilities.ts';
import { route, type Route } from './route.ts';

const HTML = 'text/html; charset=utf-8';

/** `routes`: those that are said to work. */
export function rootRoutes(routes: () => readonly Route[]): Route[] {
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
