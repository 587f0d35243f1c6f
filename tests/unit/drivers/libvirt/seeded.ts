// Random values that are the same in every run (mulberry32).

/** Characters that break naive codecs and escaping; all of them legal in XML and on the wire. */
const NASTY = Array.from('ab <>&"\'/=;-]\t\n\r[]{}%$\\`ä€😀\u0085\u2028\ufffd]]><!--');

export function seeded(seed: number) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  const below = (limit: number) => Math.floor((next() / 2 ** 32) * limit);
  return {
    /** An integer from 0 to below the limit. */
    below,
    bits64: () => (BigInt(next()) << 32n) | BigInt(next()),
    /** Up to `max` characters, many of them nasty. */
    text: (max: number) =>
      Array.from({ length: below(max + 1) }, () => NASTY[below(NASTY.length)] ?? '').join(''),
  };
}
