// XDR (RFC 4506) as values that know how to write and read themselves. A procedure's arguments and
// results are such values, so that the table of procedures is data and the types follow from it.
//
// X1  A reader never allocates what the bytes at hand cannot hold: counts are checked against the
//     maximum of the schema and against what is left, before anything is made.
// X2  Reading never yields half a value: what does not fit the schema throws `malformed`.
// X3  A 64-bit value is a bigint, exactly, unless the schema says `safeInteger`, which is a number and
//     refuses what a number cannot hold.
// X4  A string goes out as UTF-8 and must not hold NUL (a C string ends there: the daemon would see
//     another name than the caller wrote) nor half a surrogate pair.
import { clientError } from './errors.ts';

/** Writes and reads one XDR type. */
export interface Codec<T> {
  encode(writer: XdrWriter, value: T): void;
  decode(reader: XdrReader): T;
}

/** The TypeScript type that a codec carries. */
export type Value<C> = C extends Codec<infer T> ? T : never;

/** Appends to a buffer that grows. */
export class XdrWriter {
  #buffer = Buffer.alloc(256);
  #length = 0;

  /** The next `size` bytes, zeroed, for the caller to fill. */
  take(size: number): Buffer {
    const needed = this.#length + size;
    if (needed > this.#buffer.length) {
      const grown = Buffer.alloc(Math.max(needed, this.#buffer.length * 2));
      this.#buffer.copy(grown);
      this.#buffer = grown;
    }
    this.#length = needed;
    return this.#buffer.subarray(needed - size, needed);
  }

  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }
}

/** Walks over bytes that came from the peer. */
export class XdrReader {
  readonly #bytes: Buffer;
  #offset = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  take(size: number): Buffer {
    if (size > this.remaining) {
      throw malformed(`${size} bytes wanted, ${this.remaining} left at byte ${this.#offset}`);
    }
    this.#offset += size;
    return this.#bytes.subarray(this.#offset - size, this.#offset);
  }
}

/** The bytes of one value. Refuses (`invalid-value`) what the schema cannot carry. */
export function encode<T>(codec: Codec<T>, value: T): Buffer {
  const writer = new XdrWriter();
  codec.encode(writer, value);
  return writer.bytes();
}

/** The one value in `bytes`; throws `malformed` when they hold less, more or something else. */
export function decode<T>(codec: Codec<T>, bytes: Buffer): T {
  const reader = new XdrReader(bytes);
  const value = codec.decode(reader);
  if (reader.remaining > 0) throw malformed(`${reader.remaining} bytes left over`);
  return value;
}

/** No bytes at all: a procedure without arguments or without result. */
export const nothing: Codec<void> = { encode: () => undefined, decode: () => undefined };

export const i32: Codec<number> = {
  encode(writer, value) {
    if ((value | 0) !== value) throw invalid(`${value} is not a 32-bit integer`);
    writer.take(4).writeInt32BE(value);
  },
  decode: (reader) => reader.take(4).readInt32BE(),
};

export const u32: Codec<number> = {
  encode(writer, value) {
    if (value >>> 0 !== value) throw invalid(`${value} is not an unsigned 32-bit integer`);
    writer.take(4).writeUInt32BE(value);
  },
  decode: (reader) => reader.take(4).readUInt32BE(),
};

/** XDR's bool, and libvirt's int that is used as one. Anything but 0 reads as true. */
export const bool: Codec<boolean> = {
  encode: (writer, value) => i32.encode(writer, value ? 1 : 0),
  decode: (reader) => i32.decode(reader) !== 0,
};

export const i64: Codec<bigint> = {
  encode(writer, value) {
    if (BigInt.asIntN(64, value) !== value) throw invalid(`${value} is not a 64-bit integer`);
    writer.take(8).writeBigInt64BE(value);
  },
  decode: (reader) => reader.take(8).readBigInt64BE(),
};

export const u64: Codec<bigint> = {
  encode(writer, value) {
    if (BigInt.asUintN(64, value) !== value) {
      throw invalid(`${value} is not an unsigned 64-bit integer`);
    }
    writer.take(8).writeBigUInt64BE(value);
  },
  decode: (reader) => reader.take(8).readBigUInt64BE(),
};

/** An unsigned 64-bit value that fits a number, such as a size in KiB (X3). */
export const safeInteger: Codec<number> = {
  encode(writer, value) {
    if (!Number.isSafeInteger(value)) throw invalid(`${value} is not a safe integer`);
    u64.encode(writer, BigInt(value));
  },
  decode(reader) {
    const value = u64.decode(reader);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed(`${value} does not fit a number`);
    return Number(value);
  },
};

export const f64: Codec<number> = {
  encode: (writer, value) => void writer.take(8).writeDoubleBE(value),
  decode: (reader) => reader.take(8).readDoubleBE(),
};

/** Exactly `size` bytes. */
export function fixedOpaque(size: number): Codec<Buffer> {
  return {
    encode(writer, value) {
      if (value.length !== size) throw invalid(`${value.length} bytes instead of ${size}`);
      value.copy(writer.take(padded(size)));
    },
    decode: (reader) => reader.take(padded(size)).subarray(0, size),
  };
}

/** Up to `max` bytes. */
export function opaque(max: number): Codec<Buffer> {
  return {
    encode(writer, value) {
      if (value.length > max) throw invalid(`${value.length} bytes; at most ${max} can be sent`);
      u32.encode(writer, value.length);
      value.copy(writer.take(padded(value.length)));
    },
    decode(reader) {
      const size = count(reader, max);
      return reader.take(padded(size)).subarray(0, size);
    },
  };
}

/** UTF-8 text of up to `max` bytes (X4). Bytes that are not UTF-8 read as U+FFFD. */
export function string(max: number): Codec<string> {
  const bytes = opaque(max);
  return {
    encode(writer, value) {
      if (value.includes('\0')) throw invalid('text with a NUL character cannot be sent');
      if (!value.isWellFormed()) throw invalid('text with half a surrogate pair cannot be sent');
      bytes.encode(writer, Buffer.from(value, 'utf8'));
    },
    decode: (reader) => bytes.decode(reader).toString('utf8'),
  };
}

/** XDR's optional data: a value or null. */
export function optional<T>(codec: Codec<T>): Codec<T | null> {
  return {
    encode(writer, value) {
      bool.encode(writer, value !== null);
      if (value !== null) codec.encode(writer, value);
    },
    decode: (reader) => (bool.decode(reader) ? codec.decode(reader) : null),
  };
}

/** Up to `max` values of one type. */
export function list<T>(codec: Codec<T>, max: number): Codec<readonly T[]> {
  return {
    encode(writer, values) {
      if (values.length > max) throw invalid(`${values.length} values; at most ${max} can be sent`);
      u32.encode(writer, values.length);
      for (const value of values) codec.encode(writer, value);
    },
    decode(reader) {
      const size = count(reader, max);
      const values: T[] = [];
      for (let index = 0; index < size; index++) values.push(codec.decode(reader));
      return values;
    },
  };
}

type Fields = Readonly<Record<string, Codec<unknown>>>;
type StructValue<F extends Fields> = { readonly [K in keyof F]: Value<F[K]> };

/** The fields one after the other, in the order they are written here. */
export function struct<F extends Fields>(fields: F): Codec<StructValue<F>> {
  const entries = Object.entries(fields);
  return {
    encode(writer, value) {
      for (const [name, codec] of entries) codec.encode(writer, value[name]);
    },
    decode(reader) {
      const value: Record<string, unknown> = {};
      for (const [name, codec] of entries) value[name] = codec.decode(reader);
      // Every field was just read by the codec that StructValue took its type from.
      return value as StructValue<F>;
    },
  };
}

function count(reader: XdrReader, max: number): number {
  const size = u32.decode(reader);
  if (size > max) throw malformed(`a count of ${size}; at most ${max} is allowed`);
  return size;
}

function padded(size: number): number {
  // No bit operation: they work on 32 bits, and a count that the peer made up can be 2^32 - 1.
  return Math.ceil(size / 4) * 4;
}

function malformed(message: string): Error {
  return clientError('malformed', `libvirt sent a value that cannot be read: ${message}`, {
    outcome: 'unknown',
  });
}

function invalid(message: string): Error {
  return clientError('invalid-value', message);
}
