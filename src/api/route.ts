// What a route is: one row says method, path, who may use it and what the body holds; a handler parses
// nothing, checks what only it can know, asks an actor and maps the answer.
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { Json } from '../../actors/kernel/json.ts';
import type { Static, TObject, TProperties } from '../../actors/kernel/schema.ts';
import { closed, Type } from '../../actors/kernel/schema.ts';
import { Compile } from 'typebox/compile';

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

/** Who is calling: the namespace and the name of the key that its token was made with. */
export interface Caller {
  readonly namespace: string;
  readonly keyName: string;
}

/** 'public': no token. 'any': a valid token. 'system': a token of the system namespace (else 401). */
export type Access = 'public' | 'any' | 'system';

export interface ApiRequest<B> {
  /** Of a public route: the system's own name is not given; see Access. */
  readonly caller: Caller;
  /** Decoded path variables. */
  readonly params: Readonly<Record<string, string>>;
  readonly body: B;
  /** The request id: in X-Request-ID, in every message, event and log line that follows from it. */
  readonly trace: string;
}

export type Answer =
  | { readonly kind: 'json'; readonly value: Json }
  | { readonly kind: 'bytes'; readonly contentType: string; readonly bytes: Uint8Array };

export interface Route {
  readonly method: Method;
  /** `/instances/:ref`; a variable matches one segment. */
  readonly path: string;
  readonly access: Access;
  /** Checks the parsed body and runs the handler. Rejects with TroupeError. */
  run(request: ApiRequest<unknown>): Promise<Answer>;
}

interface RouteOptions<P extends TProperties> {
  readonly access?: Access;
  /** Members of the body; all of them optional unless the handler says otherwise. */
  readonly body?: P;
  handle(request: ApiRequest<Static<TObject<P>>>): Promise<Answer>;
}

/** `Type.Optional` and null alike: what clients send for "not given". */
export function optional<T extends Parameters<typeof Type.Optional>[0]>(schema: T) {
  return Type.Optional(Type.Union([schema, Type.Null()]));
}

export function json(value: Json): Answer {
  return { kind: 'json', value };
}

/** Declares a route; `at` is method and path, as in `GET /instances/:ref`. */
export function route<P extends TProperties = Record<never, never>>(
  at: `${Method} /${string}` | `${Method} /`,
  options: RouteOptions<P>,
): Route {
  const [method, path] = at.split(' ') as [Method, string];
  const check = bodyCheck(path, options.body ?? ({} as P));
  return {
    method,
    path,
    access: options.access ?? 'any',
    run: async (request) => options.handle({ ...request, body: check(request) }),
  };
}

/** A member that repeats a path variable is accepted when it says the same (contract: conventions 3). */
function bodyCheck<P extends TProperties>(path: string, properties: P) {
  const compiled = Compile(closed(properties));
  const variables = [...path.matchAll(/:(\w+)/g)].map(([, name]) => name ?? '');
  return ({ body, params }: ApiRequest<unknown>): Static<TObject<P>> => {
    const rest: Record<string, unknown> = { ...(body as object) };
    for (const name of variables) {
      if (name in rest && !(name in properties) && rest[name] === params[name]) delete rest[name];
    }
    if (compiled.Check(rest)) return rest;
    const first = compiled.Errors(rest)[0];
    const where = first?.instancePath.slice(1).replaceAll('/', '.') ?? '';
    if (first?.keyword === 'boolean' || first?.keyword === 'additionalProperties') {
      throw new TroupeError('api/bad-request', `got an unexpected keyword argument '${where}'`);
    }
    throw new TroupeError(
      'api/bad-request',
      `${where || 'the body'} ${first?.message ?? 'is not as expected'}`,
    );
  };
}
