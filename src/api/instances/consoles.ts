// The consoles of an instance (contract: instances 11.1, 11.2 and 11.4).
import { Type } from '../../../actors/kernel/schema.ts';
import { json, NOTHING, route, type Route } from '../http/route.ts';
import type { FindInstance } from './instances.ts';
import { badRequest, type ApiServices } from '../services.ts';
import { viewerFile, type Screen } from './viewer-file.ts';
import { wholeNumber } from '../objects/whole-number.ts';

const DEFAULT_BYTES = 10_240;

const VIEWER_FILE = 'application/x-virt-viewer';

export function consoleRoutes(services: ApiServices, object: FindInstance): Route[] {
  const { consoles } = services;
  return [
    route('GET /instances/:instance_ref/vdiconsolehelper', {
      summary: "A file with which remote-viewer connects to the instance's screen",
      answer: { bytes: VIEWER_FILE },
      object,
      handle: async ({ object: { id, state } }) => {
        const screen: Screen = {
          kind: await consoles.screenKind(id),
          host: state.node,
          port: state.observed?.vdiPort ?? null,
          tlsPort: state.observed?.vdiTlsPort ?? null,
          authority: services.consoleAuthority,
        };
        const bytes = Buffer.from(viewerFile(screen));
        return { kind: 'bytes', contentType: VIEWER_FILE, bytes };
      },
    }),
    route('GET /instances/:instance_ref/consoledata', {
      summary: "The last bytes of the serial console's log",
      answer: { bytes: 'application/octet-stream' },
      object,
      errors: [504],
      body: { length: Type.Optional(Type.Unknown()) },
      handle: async ({ object: { id }, body }) => {
        const length = wholeNumber(body.length ?? DEFAULT_BYTES);
        if (length === undefined) throw badRequest('length is not an integer');
        const bytes = await consoles.readConsole(id, length === 0 ? DEFAULT_BYTES : length);
        return { kind: 'bytes', contentType: 'application/octet-stream', bytes };
      },
    }),
    route('DELETE /instances/:instance_ref/consoledata', {
      summary: "Empty the serial console's log",
      answer: NOTHING,
      object,
      errors: [504],
      handle: async ({ object: { id } }) => {
        await consoles.clearConsole(id);
        return json(null);
      },
    }),
  ];
}
