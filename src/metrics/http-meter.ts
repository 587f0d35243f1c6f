// What the API is asked, by route and status: recorded once a request has been answered, in some tens of nanoseconds.
import type { Family } from './exposition.ts';
import { Histogram } from './histogram.ts';

/** A method and the template of a path, as in `/instances/:instance_ref`; one object for each route. */
export interface RouteLabels {
  readonly method: string;
  readonly path: string;
}

interface Row {
  readonly route: RouteLabels;
  readonly duration: Histogram;
  readonly statuses: Map<number, number>;
}

/** Requests that no route takes are counted as one, whatever they say of themselves. */
const NO_ROUTE: RouteLabels = { method: '', path: '' };

export class HttpMeter {
  readonly #rows = new Map<RouteLabels, Row>();
  #inFlight = 0;

  begun(): void {
    this.#inFlight++;
  }

  ended(route: RouteLabels | null, status: number, durationMs: number): void {
    this.#inFlight--;
    const { duration, statuses } = this.#row(route ?? NO_ROUTE);
    duration.observe(durationMs / 1000);
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
  }

  families(): Family[] {
    const rows = [...this.#rows.values()];
    const labelsOf = ({ route: { method, path } }: Row) => [method, path];
    return [
      {
        name: 'troupe_http_request_duration_seconds',
        samples: rows.map((row) => ({ labels: labelsOf(row), histogram: row.duration })),
      },
      {
        name: 'troupe_http_requests',
        samples: rows.flatMap((row) =>
          [...row.statuses].map(([status, value]) => ({
            labels: [...labelsOf(row), String(status)],
            value,
          })),
        ),
      },
      {
        name: 'troupe_http_requests_in_flight',
        samples: [{ labels: [], value: this.#inFlight }],
      },
    ];
  }

  #row(route: RouteLabels): Row {
    const known = this.#rows.get(route);
    if (known !== undefined) return known;
    const row = { route, duration: new Histogram(), statuses: new Map() };
    this.#rows.set(route, row);
    return row;
  }
}
