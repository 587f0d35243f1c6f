// Checks what the API says against what its table of routes promises: every answer with status 200, the status of every
// other.
import { Compile } from 'typebox/compile';
import type { Route } from '../../src/api/http/route.ts';
import { RouteTable } from '../../src/api/http/route-table.ts';

export class AnswerCheck {
  readonly #table: RouteTable;
  readonly #checks = new Map<Route, (value: unknown) => string | undefined>();

  constructor(routes: readonly Route[]) {
    this.#table = new RouteTable(routes);
  }

  /** Throws when the answer is not what the route declares. */
  check(method: string, path: string, contentType: string, body: unknown): void {
    const match = this.#table.find(method, path.split('?')[0] ?? '/');
    if (match.kind !== 'route') throw new Error(`${method} ${path}: answered, and is no route`);
    const { answer } = match.route;
    if ('bytes' in answer) {
      if (contentType === answer.bytes) return;
      throw new Error(`${method} ${path}: ${contentType} instead of ${answer.bytes}`);
    }
    const problem = this.#check(match.route)(body);
    if (problem === undefined) return;
    throw new Error(`${method} ${path}: ${problem} in ${JSON.stringify(body).slice(0, 600)}`);
  }

  /** Throws when the route does not say that it can refuse so. A breakdown of ours is nothing that a route declares. */
  checkRefusal(method: string, path: string, status: number): void {
    if (status === 500) return;
    const match = this.#table.find(method, path.split('?')[0] ?? '/');
    if (match.kind !== 'route' || match.route.errors.includes(status)) return;
    throw new Error(`${method} ${path}: ${status} is no status that ${match.route.path} declares`);
  }

  #check(route: Route): (value: unknown) => string | undefined {
    const known = this.#checks.get(route);
    if (known !== undefined) return known;
    const schema = 'json' in route.answer ? route.answer.json : {};
    const compiled = Compile(schema);
    const check = (value: unknown): string | undefined => {
      if (compiled.Check(value)) return undefined;
      const [first] = compiled.Errors(value);
      return `${first?.instancePath ?? ''} ${first?.message ?? 'is not as declared'}`;
    };
    this.#checks.set(route, check);
    return check;
  }
}
