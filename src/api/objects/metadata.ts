// What metadata may hold (contract: conventions 10, instances 3.6): anything, but for the two keys that scheduling reads.
import { Type } from '../../../actors/kernel/schema.ts';
import { badRequest } from '../services.ts';
import { wholeNumber } from './whole-number.ts';

/** All pairs of an object. */
export const Metadata = Type.Record(Type.String(), Type.Unknown());

/** The initial metadata of an instance; falsy is none. Errors: 400 with the contract's texts. */
export function instanceMetadata(metadata: unknown): Record<string, unknown> {
  if (!metadata) return {};
  if (typeof metadata !== 'object' || Array.isArray(metadata)) {
    throw badRequest('metadata must be a dictionary');
  }
  for (const [key, value] of Object.entries(metadata)) checkPair(key, value);
  return { ...metadata };
}

function checkPair(key: string, value: unknown): void {
  plainPair(key, value);
  checkScheduling(key, value);
}

/** Of any object but an instance. Errors: 400. */
export function plainPair(key: unknown, value: unknown): void {
  if (typeof key !== 'string' || key === '') throw badRequest('no key specified');
  if (isFalsy(value)) throw badRequest('no value specified');
  // What is stored is decoded by others too, some of which take that key for something else.
  if (key === '__proto__') throw badRequest('"__proto__" cannot be a key');
}

/** Of an instance, besides. Errors: 400. */
export function checkScheduling(key: string, value: unknown): void {
  if (key === 'tags' && !Array.isArray(value)) {
    throw badRequest('value for "tags" key should be a JSON list');
  }
  if (key === 'affinity') checkAffinity(value);
}

/** As the clients' language sees it: empty lists and objects too. */
function isFalsy(value: unknown): boolean {
  return !value || (typeof value === 'object' && Object.keys(value).length === 0);
}

function checkAffinity(value: unknown): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw badRequest('value for "affinity" key should be a valid JSON dictionary');
  }
  const isWeight = (weight: unknown) =>
    typeof weight === 'number' || wholeNumber(weight) !== undefined;
  if (!Object.values(value).every(isWeight)) {
    throw badRequest('affinity dictionary values should be integers');
  }
}
