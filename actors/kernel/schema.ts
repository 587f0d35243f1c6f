// Decoders made from TypeBox schemas: one description gives the static type, the check of what comes
// from the wire or the store, and later the JSON Schema of the API.
//
// S1  A decoder returns the value it was given, unchanged, or throws; it never repairs.
// S2  Unknown members are refused in messages (a typing error must not pass silently) and in
//     snapshots (an older daemon must not drop what a newer one wrote).
import Type, { type Static, type TObject, type TProperties, type TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { TroupeError, type ErrorCode } from './errors.ts';

export { Type };
export type { Static, TObject, TProperties, TSchema };

/** A closed object: unknown members are refused. */
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
  code: ErrorCode,
): (value: unknown) => Static<T> {
  const check = Compile(schema);
  return (value) => {
    if (check.Check(value)) return value as Static<T>;
    const first = check.Errors(value)[0];
    const where = first?.instancePath ? `${what}${first.instancePath}` : what;
    const problem = first?.keyword === 'boolean' ? 'is not known here' : first?.message;
    throw new TroupeError(code, `${where} ${problem ?? 'is not as expected'}`);
  };
}

type Shapes = Readonly<Record<string, TProperties>>;

/** The union of messages that a table of shapes describes, discriminated by `kind`. */
export type MessageOf<T extends Shapes> = {
  [K in keyof T & string]: { readonly kind: K } & Readonly<Static<TObject<T[K]>>>;
}[keyof T & string];

/** A strict decoder for the messages of a kind, from a table: message name to its members. */
export function messageDecoder<const T extends Shapes>(
  kind: string,
  shapes: T,
): (value: unknown) => MessageOf<T> {
  const decoders = new Map<string, (value: unknown) => unknown>();
  for (const [name, members] of Object.entries(shapes)) {
    const schema = closed({ kind: Type.Literal(name), ...members });
    decoders.set(name, decoder(`${kind}.${name}`, schema, 'actor/bad-message'));
  }
  return (value) => {
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
}
