// The client for programs that run in Node: `import { connect } from 'troupe/client'`.
import { nodeTransport } from './node-transport.ts';
import { Troupe, type TroupeOptions } from './troupe.ts';

export * from './exports.ts';

/** Nothing is sent yet: the first request logs in. */
export function connect(options: TroupeOptions): Troupe {
  return new Troupe(options, nodeTransport);
}
