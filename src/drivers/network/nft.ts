// nft tables: replaced whole and atomically, and checked by what the kernel lists.
//
// T1  A table is in order when its rules were made from the wanted text (the ledger has its digest) and the kernel still
//     lists what it listed right after (the ledger has that digest too). So a rule added, changed or
//     removed by hand is seen, whatever way this nft version has of printing it.
// T2  Replacing a table loses no connection: conntrack entries, and the translations they carry, stay.
// T3  Owner and trace are in the table's comment and in neither digest: they tell who asked, they rule nothing.
import { createHash } from 'node:crypto';
import type { Errand, Host } from './host.ts';
import { parseJson } from './listing.ts';

export interface TableName {
  readonly family: 'ip' | 'bridge';
  readonly name: string;
}

export interface TableWanted extends TableName {
  /** What stands between the table's braces. */
  readonly body: string;
  /** Owner and trace. */
  readonly comment: string;
}

/** Digest of what the kernel lists; undefined when there is no such table (or no such namespace). */
export async function observeTable(
  host: Host,
  namespace: string | null,
  table: TableName,
  errand: Errand,
): Promise<string | undefined> {
  const command = ['nft', '-j', 'list', 'table', table.family, table.name] as const;
  const { stdout, code } = await host.runInside(namespace, [...command], errand, {
    okCodes: [0, 1],
  });
  return code === 0 ? listingDigest(parseJson(stdout)) : undefined;
}

/** Replaces the table in one transaction; returns the digest of what the kernel lists now. */
export async function applyTable(
  host: Host,
  namespace: string | null,
  table: TableWanted,
  errand: Errand,
): Promise<string> {
  const id = `${table.family} ${table.name}`;
  // Naming the table before deleting it makes the deletion succeed when there is none.
  const script = `table ${id}\ndelete table ${id}\ntable ${id} {\ncomment "${table.comment}"\n${table.body}\n}\n`;
  await host.runInside(namespace, ['nft', '-f', '-'], errand, { input: script });
  return (await observeTable(host, namespace, table, errand)) ?? '';
}

/** Quiet when there is none. */
export async function removeTable(host: Host, table: TableName, errand: Errand): Promise<void> {
  const id = `${table.family} ${table.name}`;
  await host.run('nft', ['-f', '-'], errand, { input: `table ${id}\ndelete table ${id}\n` });
}

/** Names of all tables on the host, of all families. */
export async function listTables(host: Host, errand: Errand): Promise<string[]> {
  const { stdout } = await host.run('nft', ['-j', 'list', 'tables'], errand);
  return namesIn(parseJson(stdout));
}

/** A table's name in the ledger: those of different namespaces share one name. */
export function tableKey(namespace: string | null, table: string): string {
  return namespace === null ? table : `${namespace}/${table}`;
}

export function textDigest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}

/** Handles, the version of nft and the order of set elements mean nothing. */
function listingDigest(listing: unknown): string {
  return textDigest(
    JSON.stringify(listing, (key, value: unknown) => {
      if (key === 'handle' || key === 'metainfo') return undefined;
      if ((key === 'elem' || key === 'set') && Array.isArray(value)) return sorted(value);
      return value;
    }),
  );
}

function sorted(elements: readonly unknown[]): unknown[] {
  const keyed = elements.map((element) => [JSON.stringify(element), element] as const);
  return keyed.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, element]) => element);
}

function namesIn(listing: unknown): string[] {
  const rows = isRecord(listing) && Array.isArray(listing['nftables']) ? listing['nftables'] : [];
  return rows.flatMap((row: unknown) => {
    const table = isRecord(row) ? row['table'] : undefined;
    return isRecord(table) && typeof table['name'] === 'string' ? [table['name']] : [];
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
