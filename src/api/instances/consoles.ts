// The serial console of an instance (contract: instances 11.1 and 11.2).
import { Type } from '../../../actors/kernel/schema.ts';
import { json, NOTHING, route, type Route } from '../http/route.ts';
import type { FindInstance } from './instances.ts';
import { badRequest, type ApiServices } from '../services.ts';
import { wholeNumber } from '../objects/whole-number.ts';

const DEFAULT_BYTES = 10_240;

export function consoleRoutes({ consoles }: ApiServices, object: FindInstance): Route[] {
  return [
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
