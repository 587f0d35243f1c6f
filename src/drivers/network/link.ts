// A network device as wanted, compared with the one that is there: made when missing, changed in place where the
// kernel allows it, made anew where it does not.
import type { Fields, Link } from './listing.ts';
import type { Repair } from './repair.ts';

/** What can be set on a link that is there. */
export interface ShapeWanted {
  readonly name: string;
  readonly kind: 'bridge' | 'vxlan' | 'veth' | 'tun';
  readonly mtu: number;
  readonly mac?: string;
  readonly master?: string;
  readonly alias?: string;
  /** `type KIND` settings that can be changed in place, by their name on the command line and in the listing. */
  readonly settings?: Readonly<Record<string, number>>;
  /** `type bridge_slave` settings. */
  readonly portSettings?: Readonly<Record<string, boolean>>;
}

export interface LinkWanted extends ShapeWanted {
  /** The `ip` line that makes it. */
  readonly create: string;
  /** Settings fixed at creation, as the listing shows them. */
  readonly fixed?: Fields;
}

/** What mends the link, or nothing. `namespace` null: it is on the host. */
export function planLink(
  wanted: LinkWanted,
  seen: Link | undefined,
  namespace: string | null,
): Repair[] {
  const { name, kind } = wanted;
  const repair = (problem: Repair['problem'], reason: string, lines: string[]): Repair[] => [
    { resource: kind, name, problem, reason, step: { tool: 'ip', namespace, lines } },
  ];
  if (seen === undefined) {
    return repair('missing', `${name} is missing`, [
      wanted.create,
      ...shapeLines(wanted, undefined),
    ]);
  }
  const rebuild = whyRebuild(wanted, seen);
  if (rebuild !== undefined) {
    const lines = [`link del dev ${name}`, wanted.create, ...shapeLines(wanted, undefined)];
    return repair('different', `${name} has ${rebuild}`, lines);
  }
  const lines = shapeLines(wanted, seen);
  return lines.length === 0 ? [] : repair('different', `${name} needs: ${lines.join('; ')}`, lines);
}

/** Removes a link that ought not to be there. */
export function planNoLink(seen: Link | undefined, namespace: string | null): Repair[] {
  if (seen === undefined) return [];
  const lines = [`link del dev ${seen.name}`];
  const reason = `${seen.name} is not wanted any more`;
  const step = { tool: 'ip', namespace, lines } as const;
  return [{ resource: seen.kind, name: seen.name, problem: 'different', reason, step }];
}

function whyRebuild(wanted: LinkWanted, seen: Link): string | undefined {
  if (seen.kind !== wanted.kind) return `kind ${seen.kind || 'none'} instead of ${wanted.kind}`;
  const wrong = Object.entries(wanted.fixed ?? {}).find(
    ([key, value]) => seen.settings[key] !== value,
  );
  return wrong === undefined ? undefined : `a ${wrong[0]} other than ${String(wrong[1])}`;
}

/** The lines that bring a link into shape; all of them when it is only about to be made (`seen` undefined). */
export function shapeLines(wanted: ShapeWanted, seen: Link | undefined): string[] {
  const set = `link set dev ${wanted.name}`;
  const lines: string[] = [];
  const unless = (holds: boolean | undefined, line: string) => {
    if (holds !== true) lines.push(line);
  };
  unless(seen?.mtu === wanted.mtu, `${set} mtu ${wanted.mtu}`);
  unless(seen?.ipv6 === 'none', `${set} addrgenmode none`);
  if (wanted.mac !== undefined) unless(seen?.mac === wanted.mac, `${set} address ${wanted.mac}`);
  if (wanted.alias !== undefined) {
    // The alias ends with the trace that last changed it; whose it is is what must be right.
    const isSame = seen?.alias.split(' ')[0] === wanted.alias.split(' ')[0];
    unless(isSame, `${set} alias "${wanted.alias}"`);
  }
  // One line each, in the order given: the kernel judges some by others (no short forward delay while STP is on).
  for (const [key, value] of Object.entries(wanted.settings ?? {})) {
    unless(seen?.settings[key] === value, `${set} type ${wanted.kind} ${key} ${value}`);
  }
  if (wanted.master !== undefined) {
    unless(seen?.master === wanted.master, `${set} master ${wanted.master}`);
  }
  const port = Object.entries(wanted.portSettings ?? {});
  if (
    port.some(([key, value]) => seen?.master !== wanted.master || seen?.portSettings[key] !== value)
  ) {
    const words = port.map(([key, value]) => `${key} ${value ? 'on' : 'off'}`);
    lines.push(`${set} type bridge_slave ${words.join(' ')}`);
  }
  unless(seen?.isUp, `${set} up`);
  return lines;
}
