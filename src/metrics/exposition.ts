// Metrics as a scraper reads them: Prometheus text 0.0.4, or OpenMetrics 1.0 for who asks for it.
import { METRICS, type MetricName } from './catalog.ts';
import type { Histogram } from './histogram.ts';

/** Values in the order of the metric's labels. */
export type LabelValues = readonly string[];

export type Sample =
  | { readonly labels: LabelValues; readonly value: number }
  | { readonly labels: LabelValues; readonly histogram: Histogram }
  | { readonly labels: LabelValues; readonly sum: number; readonly count: number };

export interface Family {
  readonly name: MetricName;
  readonly samples: readonly Sample[];
}

export type Format = 'prometheus' | 'openmetrics';

export const CONTENT_TYPES: Readonly<Record<Format, string>> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

/** What the Accept header of a scraper asks for. */
export function formatFor(accept: string): Format {
  return accept.includes('application/openmetrics-text') ? 'openmetrics' : 'prometheus';
}

export function one(name: MetricName, value: number): Family {
  return { name, samples: [{ labels: [], value }] };
}

/** Families without samples are left out. */
export function expose(families: Iterable<Family>, format: Format): string {
  const lines: string[] = [];
  for (const family of families) {
    if (family.samples.length > 0) exposeFamily(family, format, lines);
  }
  if (format === 'openmetrics') lines.push('# EOF');
  return `${lines.join('\n')}\n`;
}

function exposeFamily({ name, samples }: Family, format: Format, lines: string[]): void {
  const { type, help } = METRICS[name];
  // The older format knows a counter by the name of its samples, OpenMetrics by that of the family.
  const total = type === 'counter' ? '_total' : '';
  const title = format === 'openmetrics' ? name : `${name}${total}`;
  lines.push(`# HELP ${title} ${help}`, `# TYPE ${title} ${type}`);
  for (const sample of samples) exposeSample(name, sample, total, lines);
}

function exposeSample(name: MetricName, sample: Sample, total: string, lines: string[]): void {
  const pairs = pairsOf(name, sample.labels);
  if ('value' in sample) {
    lines.push(`${name}${total}${braces(pairs)} ${sample.value}`);
  } else if ('histogram' in sample) {
    const { bounds, counts, sum } = sample.histogram;
    let below = 0;
    for (const [at, count] of counts.entries()) {
      below += count;
      const bound = at < bounds.length ? String(bounds[at]) : '+Inf';
      lines.push(`${name}_bucket${braces([...pairs, `le="${bound}"`])} ${below}`);
    }
    lines.push(`${name}_sum${braces(pairs)} ${sum}`, `${name}_count${braces(pairs)} ${below}`);
  } else {
    lines.push(`${name}_sum${braces(pairs)} ${sample.sum}`);
    lines.push(`${name}_count${braces(pairs)} ${sample.count}`);
  }
}

function pairsOf(name: MetricName, values: LabelValues): string[] {
  return METRICS[name].labels.map((label, at) => `${label}="${escaped(values[at] ?? '')}"`);
}

function braces(pairs: readonly string[]): string {
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '"': '\\"', '\n': '\\n' };

function escaped(text: string): string {
  return text.replaceAll(/[\\"\n]/g, (found) => ESCAPES[found] ?? found);
}
