import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { expose, formatFor, one, type Family } from '../../../src/metrics/exposition.ts';
import { Histogram } from '../../../src/metrics/histogram.ts';
import { HttpMeter } from '../../../src/metrics/http-meter.ts';

const test = suite('exposition');

/** Without comments. */
function samples(families: readonly Family[]): string[] {
  const text = expose(families, 'prometheus');
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}

test('a counter has its name with _total; OpenMetrics names the family without, and ends with a mark', () => {
  const families = [one('troupe_turns', 7)];
  assert.is(
    expose(families, 'prometheus'),
    '# HELP troupe_turns_total Messages taken in.\n# TYPE troupe_turns_total counter\ntroupe_turns_total 7\n',
  );
  assert.is(
    expose(families, 'openmetrics'),
    '# HELP troupe_turns Messages taken in.\n# TYPE troupe_turns counter\ntroupe_turns_total 7\n# EOF\n',
  );
});

test('buckets are cumulative, and a value on a bound is below it', () => {
  const histogram = new Histogram([0.1, 1]);
  for (const value of [0.05, 0.1, 0.5, 3]) histogram.observe(value);
  const labels = ['txn'];
  assert.equal(
    samples([{ name: 'troupe_store_duration_seconds', samples: [{ labels, histogram }] }]),
    [
      'troupe_store_duration_seconds_bucket{operation="txn",le="0.1"} 2',
      'troupe_store_duration_seconds_bucket{operation="txn",le="1"} 3',
      'troupe_store_duration_seconds_bucket{operation="txn",le="+Inf"} 4',
      'troupe_store_duration_seconds_sum{operation="txn"} 3.65',
      'troupe_store_duration_seconds_count{operation="txn"} 4',
    ],
  );
});

test('label values cannot break out of their quotes', () => {
  const labels = ['a"} 1\nevil{x="\\'];
  assert.equal(samples([{ name: 'troupe_actors', samples: [{ labels, value: 1 }] }]), [
    String.raw`troupe_actors{kind="a\"} 1\nevil{x=\"\\"} 1`,
  ]);
});

test('a family without samples is left out', () => {
  assert.is(expose([{ name: 'troupe_actors', samples: [] }], 'prometheus'), '\n');
});

test('the format is what the scraper asks for', () => {
  const prometheus =
    'application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3';
  assert.is(formatFor(prometheus), 'openmetrics');
  assert.is(formatFor('*/*'), 'prometheus');
  assert.is(formatFor(''), 'prometheus');
});

test('requests are counted by route, those without one together', () => {
  const meter = new HttpMeter();
  const route = { method: 'GET', path: '/nodes/:node' };
  for (let n = 0; n < 3; n++) meter.begun();
  meter.ended(route, 200, 2);
  meter.ended(null, 404, 1);
  const shown = samples(meter.families()).filter((line) => !line.includes('bucket'));
  assert.equal(shown, [
    'troupe_http_request_duration_seconds_sum{method="GET",route="/nodes/:node"} 0.002',
    'troupe_http_request_duration_seconds_count{method="GET",route="/nodes/:node"} 1',
    'troupe_http_request_duration_seconds_sum{method="",route=""} 0.001',
    'troupe_http_request_duration_seconds_count{method="",route=""} 1',
    'troupe_http_requests_total{method="GET",route="/nodes/:node",status="200"} 1',
    'troupe_http_requests_total{method="",route="",status="404"} 1',
    'troupe_http_requests_in_flight 1',
  ]);
});

test.run();
