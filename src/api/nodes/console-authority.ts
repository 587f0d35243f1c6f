// The authority that vouches for the machines' SPICE consoles (contract: nodes 2).
import { route, type Route } from '../http/route.ts';
import type { ApiServices } from '../services.ts';

const CONTENT_TYPE = 'text/plain; charset=utf-8';

export function consoleAuthorityRoutes({ consoleAuthority }: ApiServices): Route[] {
  const bytes = Buffer.from(consoleAuthority);
  return [
    route('GET /admin/cacert', {
      summary: 'The authority that signed the certificates of SPICE consoles, PEM',
      answer: { bytes: CONTENT_TYPE },
      handle: () => ({ kind: 'bytes', contentType: CONTENT_TYPE, bytes }),
    }),
  ];
}
