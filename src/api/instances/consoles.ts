// The serial console of an instance (contract: instances 11.1 and 11.2).
import type { InstanceState } from '../../../actors/instance/state.ts';
import { Type } from '../../../actors/kernel/schema.ts';
import type { ReadObject } from '../../read/collection.ts';
import { json, route, type ApiRequest, type Route } from '../http/route.ts';
import { badRequest, type ApiServices } from '../services.ts';
import { wholeNumber } from '../objects/whole-number.ts';

const DEFAULT_BYTES = 10_240;

export function consoleRoutes(
  { consoles }: ApiServices,
  object: (request: ApiRequest<unknown>) => ReadObject<InstanceState>,
): Route[] {
  return [
    route('GET /instances/:instance_ref/consoledata', {
      object,
      body: { length: Type.Optional(Type.Unknown()) },
      handle: async ({ object: { id }, body }) => {
        const length = wholeNumber(body.length ?? DEFAULT_BYTES);
        if (length === undefined) throw badRequest('length is not an integer');
        const bytes = await consoles.readConsole(id, length === 0 ? DEFAULT_BYTES : length);
        return { kind: 'bytes', contentType: 'application/octet-stream', bytes };
      },
    }),
    route('DELETE /instances/:instance_ref/consoledata', {
      object,
      handle: async ({ object: { id } }) => {
        await consoles.clearConsole(id);
        return json(null);
      },
    }),
  ];
}
