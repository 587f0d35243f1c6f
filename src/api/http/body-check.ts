// Whether a request's body holds what its route takes (contract: conventions 3).
import { Compile } from 'typebox/compile';
import {
  closed,
  type Static,
  type TObject,
  type TProperties,
} from '../../../actors/kernel/schema.ts';
import { badRequest } from '../services.ts';

/** How much of a refused value an error repeats. */
const SHOWN_LENGTH = 64;

interface Checked {
  readonly body: unknown;
  readonly params: Readonly<Record<string, string>>;
}

/**
 * Makes the check of a route: of the variables in its path, and the members of its body. A member that repeats a
 * path variable is accepted when it says the same. Errors: 400.
 */
export function bodyCheck<P extends TProperties>(path: string, properties: P) {
  const compiled = Compile(closed(properties));
  const variables = [...path.matchAll(/:(\w+)/g)].map(([, name]) => name ?? '');
  return ({ body, params }: Checked): Static<TObject<P>> => {
    const members = withoutVariables({ ...(body as object) }, variables, params);
    const surplus = Object.keys(members).find((name) => !Object.hasOwn(properties, name));
    if (surplus !== undefined) {
      throw badRequest(`got an unexpected keyword argument '${surplus}'`);
    }
    if (compiled.Check(members)) return members;
    const [first] = compiled.Errors(members);
    const pointer = first?.instancePath.slice(1).split('/') ?? [];
    const where = pointer.join('.') || 'the body';
    throw badRequest(
      `${where} ${first?.message ?? 'is not as expected'}, found ${shown(members, pointer)}`,
    );
  };
}

/** The path says which object is meant; a body that says another is refused rather than obeyed or ignored. */
function withoutVariables(
  members: Record<string, unknown>,
  variables: readonly string[],
  params: Checked['params'],
): Record<string, unknown> {
  for (const name of variables) {
    if (!Object.hasOwn(members, name)) continue;
    if (members[name] !== params[name]) {
      throw badRequest(`${name} in the body is not the one in the path: leave it out of the body`);
    }
    delete members[name];
  }
  return members;
}

function shown(members: unknown, pointer: readonly string[]): string {
  let value = members;
  for (const key of pointer) {
    if (typeof value !== 'object' || value === null) break;
    value = (value as Readonly<Record<string, unknown>>)[key];
  }
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > SHOWN_LENGTH ? `${text.slice(0, SHOWN_LENGTH)}…` : text;
}
