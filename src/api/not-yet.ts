// Routes of the contract whose feature is not there yet: they answer 501 and name it, so that nobody takes a gap for a
// typing error. Whoever makes the feature takes the row away; tests/contract/api/routes.test.ts holds both together.
import { TroupeError } from '../../actors/kernel/errors.ts';
import { finding, NOTHING, route, type Method, type Route } from './http/route.ts';

export function missingRoutes(): Route[] {
  return ofInstances();
}

function ofInstances(): Route[] {
  return [
    notYet('GET /instances/:instance_ref/snapshot', 'snapshots'),
    notYet('POST /instances/:instance_ref/snapshot', 'snapshots'),
  ];
}

/** Says so to who has a token, whatever the request holds. */
function notYet(at: `${Method} /${string}`, feature: string): Route {
  const refuse = () => {
    throw new TroupeError('api/not-implemented', `not there yet: ${feature}`);
  };
  const row = { summary: `Not there yet: ${feature}`, answer: NOTHING, missing: feature };
  return route(at, {
    ...row,
    errors: [501],
    object: finding(feature, 'any', refuse),
    handle: refuse,
  });
}
