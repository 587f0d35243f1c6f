// What was probably meant.

const MAX_DISTANCE = 2;

/** The known word nearest to the one given; undefined when none is near. */
function suggestion(word: string, known: readonly string[]): string | undefined {
  const ranked = known
    .map((candidate) => ({ candidate, far: distance(word.toLowerCase(), candidate) }))
    .sort((a, b) => a.far - b.far);
  const [best] = ranked;
  if (best !== undefined && best.far <= MAX_DISTANCE && best.far < word.length) {
    return best.candidate;
  }
  return known.find((candidate) => word.length > 1 && candidate.startsWith(word));
}

/** Sentence part: `; did you mean X?`, or nothing. */
export function didYouMean(word: string, known: readonly string[]): string {
  const found = suggestion(word, known);
  return found === undefined ? '' : `; did you mean \`${found}\`?`;
}

/** Levenshtein: insertions, deletions and replacements. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
