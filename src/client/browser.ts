// The client for browsers, without anything of Node: `import { connect } from 'troupe/client'` where a bundler resolves
// the condition `browser`. The page has to come from where the API does, or through the same proxy: the API answers no other origin.
import { fetchTransport } from './fetch-transport.ts';
import { Troupe, type TroupeOptions } from './troupe.ts';

export * from './exports.ts';

/** Nothing is sent yet: the first request logs in. */
export function connect(options: TroupeOptions): Troupe {
  return new Troupe(options, fetchTransport);
}
