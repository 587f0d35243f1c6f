// For who watches over a daemon: is it alive, may it serve, and what has it measured.
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { Type } from '../../../actors/kernel/schema.ts';
import { CONTENT_TYPES, formatFor } from '../../metrics/exposition.ts';
import { json, route, type Route } from '../http/route.ts';
import type { ApiServices } from '../services.ts';

const Health = Type.Object({
  node: Type.String(),
  /** Store revision of the copy that answers reads. */
  revision: Type.Integer(),
  /** The store is out of reach: the copy may be old. */
  stale: Type.Boolean(),
});

export function monitoringRoutes(services: ApiServices): Route[] {
  const { node, read, monitoring } = services;
  const health = () => json({ node, revision: read.revision, stale: read.isStale });
  return [
    route('GET /healthz', {
      access: 'public',
      summary: 'Answers as long as the daemon is alive',
      answer: { json: Health },
      handle: health,
    }),
    route('GET /readyz', {
      access: 'public',
      summary: 'Answers 200 when this daemon may serve, else 503 with the reasons',
      answer: { json: Health },
      handle: () => {
        const reasons = monitoring.notReady();
        if (reasons.length === 0) return health();
        throw new TroupeError('api/not-serving', `${node} is not ready: ${reasons.join('; ')}`);
      },
    }),
    route('GET /metrics', {
      access: 'monitor',
      summary: 'Metrics of this daemon, in the text format of Prometheus or OpenMetrics',
      answer: { bytes: CONTENT_TYPES.prometheus },
      handle: async ({ accept }) => {
        const format = formatFor(accept);
        const bytes = Buffer.from(await monitoring.metrics(format));
        return { kind: 'bytes', contentType: CONTENT_TYPES[format], bytes };
      },
    }),
  ];
}
