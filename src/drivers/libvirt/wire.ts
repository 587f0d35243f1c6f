// The types that many of libvirt's procedures share (remote_protocol): texts, UUIDs, domains, typed
// parameters, errors.
import { clientError } from './errors.ts';
import { f64, fixedOpaque, i32, i64, list, optional, string, struct, u32, u64 } from './xdr.ts';
import type { Codec, Value } from './xdr.ts';

const STRING_MAX = 4_194_304;
/** The most domains in one list. */
export const DOMAIN_LIST_MAX = 16_384;

/** A text of up to 4 MiB; XML documents are these too. */
export const text = string(STRING_MAX);
export const nullableText = optional(text);

const rawUuid = fixedOpaque(16);
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Sixteen bytes, to us the canonical text with dashes. */
export const uuid: Codec<string> = {
  encode(writer, value) {
    if (!UUID.test(value)) {
      throw clientError('invalid-value', `'${value}' is not a lower-case UUID with dashes`);
    }
    rawUuid.encode(writer, Buffer.from(value.replaceAll('-', ''), 'hex'));
  },
  decode(reader) {
    const hex = rawUuid.decode(reader).toString('hex');
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  },
};

/** How libvirt names a domain. It looks the domain up by the UUID alone; -1 is "no id": not active. */
export const domain = struct({ name: text, uuid, id: i32 });
export type DomainRef = Value<typeof domain>;

/** A reference from what we know ourselves, without asking the daemon. */
export function domainRef(uuidText: string, name = uuidText): DomainRef {
  return { name, uuid: uuidText, id: -1 };
}

/** One named value of a statistics or parameter list. 64-bit ones are bigints. */
export type TypedParam = { readonly field: string } & (
  | { readonly type: 'int' | 'uint' | 'double'; readonly value: number }
  | { readonly type: 'llong' | 'ullong'; readonly value: bigint }
  | { readonly type: 'boolean'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
);
export type TypedValue = TypedParam['value'];

const PARAM_TYPES = ['', 'int', 'uint', 'llong', 'ullong', 'double', 'boolean', 'string'] as const;

const typedParam: Codec<TypedParam> = {
  encode(writer, param) {
    text.encode(writer, param.field);
    i32.encode(writer, PARAM_TYPES.indexOf(param.type));
    switch (param.type) {
      case 'int':
        return i32.encode(writer, param.value);
      case 'uint':
        return u32.encode(writer, param.value);
      case 'llong':
        return i64.encode(writer, param.value);
      case 'ullong':
        return u64.encode(writer, param.value);
      case 'double':
        return f64.encode(writer, param.value);
      case 'boolean':
        return i32.encode(writer, param.value ? 1 : 0);
      case 'string':
        return text.encode(writer, param.value);
    }
  },
  decode(reader) {
    const field = text.decode(reader);
    const number = i32.decode(reader);
    const type = PARAM_TYPES[number];
    if (type === undefined || type === '') {
      throw clientError('malformed', `libvirt sent parameter '${field}' of type ${number}`);
    }
    switch (type) {
      case 'int':
        return { field, type, value: i32.decode(reader) };
      case 'uint':
        return { field, type, value: u32.decode(reader) };
      case 'llong':
        return { field, type, value: i64.decode(reader) };
      case 'ullong':
        return { field, type, value: u64.decode(reader) };
      case 'double':
        return { field, type, value: f64.decode(reader) };
      case 'boolean':
        return { field, type, value: i32.decode(reader) !== 0 };
      case 'string':
        return { field, type, value: text.decode(reader) };
    }
  },
};

/** A list of named values. */
export function typedParams(max: number): Codec<readonly TypedParam[]> {
  return list(typedParam, max);
}

const network = struct({ name: text, uuid });

/** What follows a reply or stream frame of status `error`. */
export const remoteError = struct({
  code: i32,
  domain: i32,
  message: nullableText,
  level: i32,
  about: optional(domain),
  text1: nullableText,
  text2: nullableText,
  text3: nullableText,
  int1: i32,
  int2: i32,
  network: optional(network),
});
