// What may be stored and sent: text, finite numbers, booleans, null, undefined fields, arrays, plain objects and
// Uint8Array, at most 64 deep. msgpackr alone would turn a Map into an object and a function into undefined on the
// way out, and build a RegExp, an Error or dates from hostile bytes on the way in.
const MAX_DEPTH = 64;

/** The first thing in `value` that is not plain data, in words; null when all is. */
export function oddIn(value: unknown): string | null {
  return findOdd(value, 0);
}

function findOdd(value: unknown, depth: number): string | null {
  if (depth > MAX_DEPTH) return `nesting deeper than ${MAX_DEPTH}`;
  switch (typeof value) {
    case 'string':
    case 'boolean':
    case 'undefined':
      return null;
    case 'number':
      return Number.isFinite(value) ? null : String(value);
    case 'object':
      return value === null ? null : findOddInside(value, depth);
    case 'bigint':
    case 'function':
    case 'symbol':
      return `a ${typeof value}`;
  }
}

function findOddInside(value: object, depth: number): string | null {
  if (value instanceof Uint8Array) return null;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (!Array.isArray(value) && prototype !== Object.prototype && prototype !== null)
    return `an instance of ${value.constructor.name}`;
  for (const inside of Object.values(value)) {
    const odd = findOdd(inside, depth + 1);
    if (odd !== null) return odd;
  }
  return null;
}
