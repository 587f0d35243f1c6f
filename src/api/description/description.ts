// The API described by itself: the OpenAPI document, and a page that shows it and needs nothing from elsewhere.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Type } from '../../../actors/kernel/schema.ts';
import { route, type Answer, type Route } from '../http/route.ts';
import { openApiDocument, type ApiIdentity } from './openapi.ts';

const HTML = 'text/html; charset=utf-8';
const CSS = 'text/css; charset=utf-8';
const SCRIPT = 'text/javascript; charset=utf-8';

/** Runs only what comes from here, and talks only to here: what an answer holds can do nothing. */
const LOCKED = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
};

const Described = Type.Object({
  openapi: Type.String(),
  info: Type.Unknown(),
  paths: Type.Record(Type.String(), Type.Unknown()),
  components: Type.Unknown(),
});

/** `routes`: those that it describes, itself among them. */
export function descriptionRoutes(routes: () => readonly Route[], identity: ApiIdentity): Route[] {
  let text: string | undefined;
  const describe = (): Answer => ({
    kind: 'rendered',
    text: (text ??= JSON.stringify(openApiDocument(routes(), identity))),
  });
  const page = file('index.html', HTML);
  return [
    route('GET /openapi.json', {
      summary: 'This description of the API, as an OpenAPI 3.1 document',
      answer: { json: Described },
      access: 'public',
      handle: describe,
    }),
    // Where the clients of old look.
    route('GET /apispec_1.json', {
      summary: 'The same description, at the address of old',
      answer: { json: Described },
      access: 'public',
      handle: describe,
    }),
    route('GET /apidocs/', {
      summary: 'The API browser: this description to read and to try',
      answer: { bytes: HTML },
      access: 'public',
      handle: () => page,
    }),
    ...partRoutes(),
  ];
}

function partRoutes(): Route[] {
  const [script, style] = [file('browser.js', SCRIPT), file('style.css', CSS)];
  return [
    route('GET /apidocs/browser.js', {
      summary: 'Script of the API browser',
      answer: { bytes: SCRIPT },
      access: 'public',
      handle: () => script,
    }),
    route('GET /apidocs/style.css', {
      summary: 'Style of the API browser',
      answer: { bytes: CSS },
      access: 'public',
      handle: () => style,
    }),
  ];
}

/** A file beside this one, as an answer. */
function file(name: string, contentType: string): Answer {
  const bytes = readFileSync(join(import.meta.dirname, 'page', name));
  return { kind: 'bytes', contentType, bytes, headers: LOCKED };
}
