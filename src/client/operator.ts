// Any operation of the API, checked by the compiler against the table of routes it was made from (operations.ts).
import type { Connection, Method } from './connection.ts';
import type { Operations } from './operations.ts';

export type Operation = keyof Operations;
export type BodyOf<O extends Operation> = Operations[O]['body'];
export type AnswerOf<O extends Operation> = Operations[O]['answer'];
type ParamsOf<O extends Operation> = Operations[O]['params'];

export interface Given<O extends Operation> {
  readonly params?: ParamsOf<O>;
  readonly body?: BodyOf<O>;
  /** Of the few routes that look at them. */
  readonly query?: Readonly<Record<string, string | number>>;
  /** Makes a POST safe to be sent again, which it is then when a node does not answer. */
  readonly idempotencyKey?: string;
}

export class Operator {
  readonly connection: Connection;

  constructor(connection: Connection) {
    this.connection = connection;
  }

  /** Errors: ApiError and its kinds. */
  async call<O extends Operation>(at: O, given: Given<O> = {}): Promise<AnswerOf<O>> {
    return (await this.connection.json(asked(at, given))) as AnswerOf<O>;
  }

  /** The bytes of an answer that is no JSON. */
  async bytes<O extends Operation>(at: O, given: Given<O> = {}): Promise<Uint8Array> {
    return (await this.connection.request(asked(at, given))).bytes;
  }

  /** Sends bytes as they are. */
  async send<O extends Operation>(
    at: O,
    bytes: Uint8Array,
    params: ParamsOf<O>,
  ): Promise<AnswerOf<O>> {
    const { method, path } = asked(at, { params });
    return (await this.connection.json({ method, path, bytes })) as AnswerOf<O>;
  }
}

function asked<O extends Operation>(at: O, { params, body, query, idempotencyKey }: Given<O>) {
  const [method = '', template = ''] = at.split(' ');
  const values = (params ?? {}) as Readonly<Record<string, string>>;
  const path = template.replace(/\{(\w+)\}/g, (_, name: string) => segment(values[name] ?? ''));
  const pairs = Object.entries(query ?? {}).map(([name, value]) => [name, String(value)]);
  const tail =
    pairs.length === 0 ? '' : `?${new URLSearchParams(pairs as [string, string][]).toString()}`;
  return {
    method: method as Method,
    path: `${path}${tail}`,
    json: body as object | undefined,
    ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
  };
}

/** `.` and `..` mean something else in every URL, however they are written. */
function segment(text: string): string {
  if (text !== '' && text !== '.' && text !== '..') return encodeURIComponent(text);
  throw new TypeError(`${JSON.stringify(text)} is neither a name nor a UUID`);
}
