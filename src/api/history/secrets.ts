// Nothing that opens anything is shown, whatever kind's state holds it: not even as a hash.
import type { Json, JsonObject } from '../../../actors/kernel/json.ts';

const SECRET =
  /^(hash|salt|nonce|.*secret.*|.*password.*|.*passphrase.*|.*private_?key.*|.*token.*)$/i;
/** That a secret was changed can be seen; what it was and is cannot. */
export const HIDDEN = '(hidden)';

/** The state without its secrets. */
export function withoutSecrets(state: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(state).map(([name, value]) => [name, shown(name, value)]),
  );
}

function shown(name: string, value: Json | undefined): Json | undefined {
  if (SECRET.test(name) && value !== null && value !== undefined) return HIDDEN;
  if (Array.isArray(value)) return value.map((one) => shown('', one as Json) ?? null);
  if (typeof value === 'object' && value !== null) return withoutSecrets(value as JsonObject);
  return value;
}
