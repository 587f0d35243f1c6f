// Joins the image driver with the other nodes' for disks that start before their base is here: who holds a blob is asked of
// the blob, to be served of the node.
import { decodeHolding, blobRef } from '../../actors/blob/state.ts';
import type { Clock } from '../../actors/kernel/clock.ts';
import type { Log, Random, Router } from '../../actors/kernel/ports.ts';
import { decodeServed, machineRef } from '../../actors/node/machine-message.ts';
import { readIdentity } from '../cluster/files.ts';
import type { Config } from '../config.ts';
import type { ImageDriver } from '../drivers/image/driver.ts';
import { Repeating } from './repeating.ts';

/** A guest waits as long when the node that it reads from is lost. */
const TEND_MS = 3_000;
/** A node that does not start to serve within this is passed over. */
const SERVE_MS = 10_000;

export interface ReplicaReadsOptions {
  readonly config: Pick<Config, 'node' | 'mesh' | 'image' | 'dataDir'>;
  readonly images: ImageDriver;
  readonly router: Router;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** From then on, until stopped, this node reads from others and is read. What runs goes on after it. */
export function readReplicas({
  config,
  images,
  router,
  ...timing
}: ReplicaReadsOptions): Repeating {
  const { node, mesh, image } = config;
  if (mesh !== null) {
    const { first: firstPort, last: lastPort } = image.readPorts;
    const place = { host: mesh.host, firstPort, lastPort, identity: readIdentity(config) };
    images.connectReads(
      {
        of: async (blobId, trace) => {
          const reply = await router.ask(blobRef(blobId), { kind: 'holders', node }, { trace });
          return decodeHolding(reply.value);
        },
        open: async (holder, blobId, trace) => {
          const message = { kind: 'serve-replica', blobId } as const;
          const options = { trace, timeoutMs: SERVE_MS };
          return decodeServed((await router.ask(machineRef(holder), message, options)).value);
        },
      },
      place,
    );
  }
  const { clock, log, random } = timing;
  return new Repeating({
    clock,
    log,
    everyMs: TEND_MS,
    trace: () => random.uuid(),
    failed: 'what is read from other nodes was not looked after',
    run: (trace) => images.tendReads(trace),
  });
}
