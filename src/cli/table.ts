// Aligned text for people: lists as columns under a heading, single objects as `name: value` lines.
import type { View } from '../client/client.ts';
import { columnsOf, onScreen } from './screen-text.ts';

const GAP = '  ';

/** What a row shows under a heading; at least so wide, so that what is printed later still lines up. */
export type Column<T> = readonly [
  heading: string,
  cell: (row: T) => string,
  minimumColumns?: number,
];

/** Lines with a heading, each ended by a newline. Cells are made safe here. */
export function table<T>(rows: readonly T[], columns: readonly Column<T>[]): string {
  const lines = [
    columns.map(([heading]) => heading),
    ...rows.map((row) => columns.map(([, cell]) => onScreen(cell(row)) || '-')),
  ];
  const widths = columns.map(([, , minimum = 0], index) =>
    Math.max(minimum, ...lines.map((line) => columnsOf(line[index] ?? ''))),
  );
  return lines.map((line) => `${padded(line, widths)}\n`).join('');
}

/** `name: value` lines; undefined and empty values are left out. */
export function fields(pairs: readonly (readonly [name: string, value: string | undefined])[]) {
  const shown = pairs.filter(([, value]) => value !== undefined && value !== '');
  const width = Math.max(0, ...shown.map(([name]) => name.length + 1));
  return shown
    .map(([name, value]) => `${`${name}:`.padEnd(width)}${GAP}${onScreen(value ?? '')}\n`)
    .join('');
}

/** A member as text: empty when absent or null, JSON when it is no plain value. */
export function text(view: View, member: string): string {
  return textOf(view[member]);
}

export function textOf(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'string') return value;
  return JSON.stringify(value);
}

/** An object's metadata as `key=value` pairs. */
export function metadataText(view: View): string {
  const metadata = isView(view['metadata']) ? view['metadata'] : {};
  return Object.keys(metadata)
    .map((key) => `${key}=${text(metadata, key)}`)
    .join(' ');
}

/** A member that should be a list of objects. */
export function views(view: View, member: string): readonly View[] {
  const value = view[member];
  return Array.isArray(value) ? (value as readonly unknown[]).filter(isView) : [];
}

export function isView(value: unknown): value is View {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function padded(line: readonly string[], widths: readonly number[]): string {
  return line
    .map((cell, index) => cell + ' '.repeat(Math.max(0, (widths[index] ?? 0) - columnsOf(cell))))
    .join(GAP)
    .trimEnd();
}
