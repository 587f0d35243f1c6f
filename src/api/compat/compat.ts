// The API again below `/compat/0.4`, for clients that still speak older shapes: the Go client, and the Terraform provider on
// top of it (contract: clients 8 and 9). The same rows with the same checks; only what contradicts the 0.8 API is translated.
//
// O1  A translation changes shapes, never rights: who may do what was decided by the row before.
// O2  A member that Go decodes into a fixed type has that type or is null: one that has another fails the whole answer.
import type { Json } from '../../../actors/kernel/json.ts';
import type { ReadModel } from '../../read/read-model.ts';
import type { ApiServices } from '../services.ts';
import { descriptionRoutes } from '../description/description.ts';
import { shapeOf } from '../http/capabilities.ts';
import type { Answer, ApiRequest, Route } from '../http/route.ts';
import { imageRoutes } from './images.ts';
import { TRANSLATIONS, type Translation } from './translations.ts';

const BASE = '/compat/0.4';

/** `routes`: those of the 0.8 API. */
export function compatRoutes(services: ApiServices, routes: readonly Route[]): Route[] {
  const isDescription = ({ path }: Route) =>
    /^\/(openapi|apispec_1)\.json$|^\/apidocs\//.test(path);
  const translated = routes
    .filter((one) => !isDescription(one))
    .flatMap(withOlderMethod)
    .map((one) => translate(one, services.read));
  const described: Route[] = [
    ...translated,
    ...imageRoutes(services, routes),
    ...descriptionRoutes(() => described, { version: '0.4', base: BASE }),
  ];
  return described.map((one) => ({ ...one, path: one.path === '/' ? BASE : BASE + one.path }));
}

/** Before PUT, a pair of metadata was set with POST. */
function withOlderMethod(route: Route): Route[] {
  const isPair = route.method === 'PUT' && route.path.endsWith('/metadata/:key');
  return isPair ? [route, { ...route, method: 'POST' }] : [route];
}

function translate(route: Route, read: ReadModel): Route {
  const old = TRANSLATIONS[shapeOf(`${route.method} ${route.path}`)] ?? {};
  return {
    ...route,
    body: { ...route.body, ...old.body },
    answer: old.answer ?? route.answer,
    run: async (request) => answered(old, await route.run(asked(old, request)), read),
  };
}

function asked({ ask }: Translation, request: ApiRequest<unknown>): ApiRequest<unknown> {
  const body = ask === undefined ? request.body : ask(request.body as Record<string, unknown>);
  return { ...request, body, dialect: '0.4' };
}

function answered({ show }: Translation, answer: Answer, read: ReadModel): Answer {
  if (show === undefined) return answer;
  if (answer.kind === 'json') return { kind: 'json', value: show(answer.value, read) };
  if (answer.kind !== 'rendered') return answer;
  return { kind: 'json', value: show(JSON.parse(answer.text) as Json, read) };
}
