// What a route is: one row says method, path, who may use it, which object it is about and what the body holds; a
// handler parses nothing, checks what only it can know, asks an actor and maps the answer.
//
// The checks come in the contract's order (conventions 5.4): token, object, body, then the handler's own.
import type { Json } from '../../../actors/kernel/json.ts';
import type { Static, TObject, TProperties, TSchema } from '../../../actors/kernel/schema.ts';
import { Type } from '../../../actors/kernel/schema.ts';
import { bodyCheck } from './body-check.ts';
import { usualErrors } from './usual-errors.ts';

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

/** Who is calling: the namespace and the name of the key that its token was made with. */
export interface Caller {
  readonly namespace: string;
  readonly keyName: string;
}

/**
 * 'public': no token. 'any': a valid token. 'system': a token of the system namespace (else 401). 'monitor': as the setting
 * metrics-access says.
 */
export type Access = 'public' | 'any' | 'system' | 'monitor';

/**
 * Who may use a route, in the contract's words (conventions 6): an access, or what the object's namespace has to do with the
 * caller's. 'own': the same, or system. 'trusted': the same, or one that it trusts. 'read': trusted, or the object is shared.
 */
export type Rule = Access | 'own' | 'trusted' | 'read';

/** Which clients a request comes from: of the 0.8 API, or of before (src/api/compat). */
export type Dialect = '0.8' | '0.4';

export interface ApiRequest<B> {
  readonly method: Method;
  /** Nobody on a public route. */
  readonly caller: Caller;
  /** Decoded path variables. */
  readonly params: Readonly<Record<string, string>>;
  readonly body: B;
  /** The request id: in X-Request-ID, in every message, event and log line that follows from it. */
  readonly trace: string;
  /** Of the address; for the few routes that look at it. */
  readonly query: URLSearchParams;
  /** The body of a route that takes bytes, as it comes in; empty on others. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** An id for what the request makes; with an `Idempotency-Key`, the same ones each time it is sent. */
  readonly newId: () => string;
  /** Where the request comes from: the address of the client, or of the proxy in front. */
  readonly remote: string;
  /** Of 0.8 where it is not said. */
  readonly dialect?: Dialect;
  /** The Accept header; empty when there is none. */
  readonly accept: string;
}

/** A request on a route that is about one object, which has been found and may be seen by the caller. */
export interface ObjectRequest<B, O> extends ApiRequest<B> {
  readonly object: O;
}

/** Finds the object that a route is about, and lets nobody see it whom its rule does not. Errors: 400 and 404. */
export interface Finder<O> {
  (request: ApiRequest<unknown>): O;
  /** What error texts call one. */
  readonly what: string;
  readonly rule: Rule;
}

/** `find` has to enforce `rule`. */
export function finding<O>(
  what: string,
  rule: Rule,
  find: (request: ApiRequest<unknown>) => O,
): Finder<O> {
  return Object.assign((request: ApiRequest<unknown>) => find(request), { what, rule });
}

export type Answer =
  | { readonly kind: 'json'; readonly value: Json }
  /** An error that says more than a sentence. */
  | { readonly kind: 'refused'; readonly status: number; readonly error: Json }
  /** JSON that was rendered before: see rendered.ts. */
  | { readonly kind: 'rendered'; readonly text: string }
  | {
      readonly kind: 'bytes';
      readonly contentType: string;
      readonly bytes: Uint8Array;
      readonly headers?: Readonly<Record<string, string>>;
    }
  /** Sent while it is made, no faster than the client takes it; ended when the client goes. */
  | {
      readonly kind: 'stream';
      readonly contentType: string;
      readonly sizeBytes: number;
      readonly pieces: AsyncIterable<Uint8Array>;
    };

/** What a route answers: JSON of a schema, bytes of a content type, or a WebSocket (channel.ts). */
export type AnswerShape =
  | { readonly json: TSchema }
  | { readonly bytes: string }
  | { readonly upgrade: 'websocket' };

/** `null`: it is done, and there is nothing to say. */
export const NOTHING: AnswerShape = { json: Type.Null() };

export interface Route {
  readonly method: Method;
  /** `/instances/:instance_ref`; a variable matches one segment. */
  readonly path: string;
  readonly access: Access;
  readonly rule: Rule;
  /** What it does, in a sentence for the API's description. */
  readonly summary: string;
  /** Members of the body. */
  readonly body: TProperties;
  /** Of the address; what is no name in here is ignored, as on most routes everything is. */
  readonly query: TProperties;
  /** The body is not JSON but bytes, which the handler takes as they come. */
  readonly takesBytes: boolean;
  readonly answer: AnswerShape;
  /** What it answers when it does not do it, by status. */
  readonly errors: readonly number[];
  /** The feature that it waits for: it answers 501. Null: it works. */
  readonly missing: string | null;
  /** Finds the object, checks the parsed body and runs the handler. Rejects with TroupeError. */
  run(request: ApiRequest<unknown>): Promise<Answer>;
}

interface RouteOptions<P extends TProperties, O> {
  readonly access?: Access;
  /** Where it is not the access, nor the object's: what the handler sees to. */
  readonly rule?: Rule;
  readonly summary: string;
  readonly answer: AnswerShape;
  /** The object that the route is about. Errors: 400 and 404. */
  readonly object?: Finder<O>;
  /** Members of the body; all of them optional unless the handler says otherwise. */
  readonly body?: P;
  /** What the handler reads in the address. */
  readonly query?: TProperties;
  /** Further statuses than those that usual-errors.ts knows of such a route. */
  readonly errors?: readonly number[];
  readonly missing?: string;
  readonly takesBytes?: boolean;
  handle(request: ObjectRequest<Static<TObject<P>>, O>): Answer | Promise<Answer>;
}

/** `Type.Optional` and null alike: what clients send for "not given". */
export function optional<T extends Parameters<typeof Type.Optional>[0]>(schema: T) {
  return Type.Optional(Type.Union([schema, Type.Null()]));
}

export function json(value: Json): Answer {
  return { kind: 'json', value };
}

/** Declares a route; `at` is method and path, as in `GET /instances/:instance_ref`. */
export function route<P extends TProperties = Record<never, never>, O = undefined>(
  at: `${Method} /${string}`,
  options: RouteOptions<P, O>,
): Route {
  const [method, path] = at.split(' ') as [Method, string];
  const { access = 'any', body = {} as P, errors = [] } = options;
  const check = bodyCheck(path, body);
  return {
    method,
    path,
    access,
    rule: options.rule ?? (access === 'any' ? options.object?.rule : undefined) ?? access,
    summary: options.summary,
    body,
    query: options.query ?? {},
    takesBytes: options.takesBytes ?? false,
    answer: options.answer,
    errors: [...new Set([...usualErrors({ method, path, access, body }), ...errors])].toSorted(
      (a, b) => a - b,
    ),
    missing: options.missing ?? null,
    run: async (request) => {
      const object = options.object?.(request) as O;
      return options.handle({ ...request, object, body: check(request) });
    },
  };
}
