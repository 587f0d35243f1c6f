// The order of keys: by the bytes of their UTF-8 form, as etcd sorts. JavaScript compares UTF-16
// units, which puts characters beyond the basic plane before U+E000..U+FFFF.

/** Negative, zero or positive, as for Array.sort(). */
export function compareKeys(a: string, b: string): number {
  const shorter = Math.min(a.length, b.length);
  for (let i = 0; i < shorter; i++) {
    const left = a.charCodeAt(i);
    const right = b.charCodeAt(i);
    if (left !== right) return rank(left) - rank(right);
  }
  return a.length - b.length;
}

/** Moves surrogates behind the rest of the basic plane: where their code points belong. */
function rank(unit: number): number {
  if (unit >= 0xe000) return unit - 0x800;
  return unit >= 0xd800 ? unit + 0x2000 : unit;
}

/** First index in the sorted `keys` whose key is not before `key`. */
export function lowerBound(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const candidate = keys[middle];
    if (candidate !== undefined && compareKeys(candidate, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
