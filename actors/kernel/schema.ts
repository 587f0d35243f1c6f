// Decoders made from TypeBox schemas: one description gives the static type, the check of what comes
// from the wire or the store, and later the JSON Schema of the API.
//
// S1  A decoder returns the value it was given, or throws; it never repairs.
// S2  Unknown members are refused in what clients send (a typing error must not pass silently) and in
//     snapshots (an older daemon must not drop what a newer one wrote).
// S3  In what daemons and actors send each other they are left out, at any depth: a newer daemon may say more than an
//     older one knows. The types of this program keep typing errors out. docs/cluster.md says what may change how.
import Type, { type Static, type TObject, type TProperties, type TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { Clean, Clone } from 'typebox/value';
import { TroupeError, type ErrorCode } from './errors.ts';

export { Type };
export type { Static, TObject, TProperties, TSchema };

/** A closed object: unknown members are refused, or left out in messages. */
export function closed<P extends TProperties>(properties: P): TObject<P> {
  return Type.Object(properties, { additionalProperties: false });
}

export function nullable<T extends TSchema>(schema: T) {
  return Type.Union([schema, Type.Null()]);
}

export function oneOf<const T extends readonly string[]>(values: T) {
  return Type.Unsafe<T[number]>({ type: 'string', enum: [...values] });
}

/** Checks `value` against the schema; throws `code` with the first thing that is wrong and where. */
export function decoder<T extends TSchema>(
  what: string,
  schema: T,
  // Of messages: received().
  code: Exclude<ErrorCode, 'actor/bad-message'>,
): (value: unknown) => Static<T> {
  const check = Compile(schema);
  return (value) => {
    if (check.Check(value)) return value as Static<T>;
    throw wrong(what, check.Errors(value)[0], code);
  };
}

/** The same for what another daemon or actor has sent, less what is not known here. Error: `actor/bad-message`. */
export function received<T extends TSchema>(
  what: string,
  schema: T,
): (value: unknown) => Static<T> {
  const check = Compile(schema);
  return (value) => {
    if (check.Check(value)) return value as Static<T>;
    const known = Clean(schema, Clone(value));
    if (check.Check(known)) return known as Static<T>;
    throw wrong(what, check.Errors(known)[0], 'actor/bad-message');
  };
}

interface Problem {
  readonly instancePath: string;
  readonly keyword: string;
  readonly message: string;
}

function wrong(what: string, first: Problem | undefined, code: ErrorCode): TroupeError {
  const where = first?.instancePath ? `${what}${first.instancePath}` : what;
  const problem = first?.keyword === 'boolean' ? 'is not known here' : first?.message;
  return new TroupeError(code, `${where} ${problem ?? 'is not as expected'}`);
}

type Shapes = Readonly<Record<string, TProperties>>;

/** The union of messages that a table of shapes describes, discriminated by `kind`. */
export type MessageOf<T extends Shapes> = {
  [K in keyof T & string]: { readonly kind: K } & Readonly<Static<TObject<T[K]>>>;
}[keyof T & string];

export interface MessageDecoder<T extends Shapes> {
  (value: unknown): MessageOf<T>;
  /** The table it was made from. */
  readonly shapes: T;
}

/** A decoder for the messages of a kind, from a table: message name to its members. Error: `actor/bad-message`. */
export function messageDecoder<const T extends Shapes>(kind: string, shapes: T): MessageDecoder<T> {
  const decoders = new Map<string, (value: unknown) => unknown>();
  for (const [name, members] of Object.entries(shapes)) {
    const schema = closed({ kind: Type.Literal(name), ...members });
    decoders.set(name, received(`${kind}.${name}`, schema));
  }
  const decodeMessage = (value: unknown) => {
    const name = (value as { kind?: unknown } | null)?.kind;
    const decode = typeof name === 'string' ? decoders.get(name) : undefined;
    if (decode === undefined) {
      throw new TroupeError(
        'actor/bad-message',
        `${kind} takes no message of kind ${String(name)}`,
      );
    }
    return decode(value) as MessageOf<T>;
  };
  return Object.assign(decodeMessage, { shapes });
}
