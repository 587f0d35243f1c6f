// Whole numbers that some clients send as text.

/** The number in a JSON number or a text of digits; undefined when it is neither, or not whole. */
export function wholeNumber(value: unknown): number | undefined {
  const number =
    typeof value === 'string' && /^[+-]?\d{1,15}$/.test(value.trim()) ? Number(value) : value;
  return typeof number === 'number' && Number.isSafeInteger(number) ? number : undefined;
}
