// The promises that hold once the trouble is over and everything has had its time: first with what was asked for
// still there, then after all of it was deleted. The numbers are those of the architecture page.
import type { ArtifactState } from '../../../actors/artifact/state.ts';
import { artifact } from '../../../actors/artifact/artifact.ts';
import { blob } from '../../../actors/blob/blob.ts';
import type { BlobState } from '../../../actors/blob/state.ts';
import { diskSnapshot } from '../../../actors/disk-snapshot/disk-snapshot.ts';
import type { DiskSnapshotState } from '../../../actors/disk-snapshot/state.ts';
import { instance } from '../../../actors/instance/instance.ts';
import type { InstanceState } from '../../../actors/instance/state.ts';
import { interfaceKind } from '../../../actors/interface/interface.ts';
import type { InterfaceState } from '../../../actors/interface/state.ts';
import type { NamespaceState } from '../../../actors/namespace/state.ts';
import { network } from '../../../actors/network/network.ts';
import { isInUse } from '../../../actors/network/places.ts';
import { routedAddresses } from '../../../actors/network/routes.ts';
import { FLOATING, type NetworkState } from '../../../actors/network/state.ts';
import type { ArchiveFile } from '../../../src/archive/archive-file.ts';
import type { HistoryItem, HistoryPage } from '../../../src/archive/history.ts';
import type { NodeState } from '../../../actors/node/state.ts';
import type { SimNode } from './node.ts';
import type { Site } from './site.ts';
import type { Watch } from './watch.ts';
import type { Workload } from './workload.ts';
import { checkBlobs } from './blob-promises.ts';

/** An instance whose guest crashed keeps what it has (instance.ts). */
const ENDED = ['created', 'created-error', 'error', 'deleted'];
const KEPT_KINDS = ['node', 'namespace'];

export interface Checked {
  readonly site: Site;
  readonly nodes: readonly SimNode[];
  readonly workload: Workload;
  readonly watch: Watch;
}

/** Objects that are still on their way, each with its phase. */
export function underWay({ view }: Site): string[] {
  const left: string[] = [];
  for (const { kind, id, state } of view.objects.values()) {
    if (KEPT_KINDS.includes(kind) || id === FLOATING) continue;
    const { phase } = state as { readonly phase: string };
    const waits = kind === 'network' && phase === 'delete-wait' && isInUse(state as NetworkState);
    const isUnderWay = !ENDED.includes(phase) || outsideIsUnderWay(kind, state);
    if (isUnderWay && !waits) left.push(`${kind}/${id} ${phase}`);
  }
  return left;
}

/** Whether it is getting, or giving back, an address of the pool. */
function outsideIsUnderWay(kind: string, state: unknown): boolean {
  if (kind === 'interface') {
    const { float, phase } = state as InterfaceState;
    return phase === 'created' && float !== null && float.phase !== 'held';
  }
  if (kind !== 'network') return false;
  const { routes, phase } = state as NetworkState;
  return phase === 'created' && Object.values(routes).some((route) => route.phase !== 'held');
}

/** 2, 4, 5, 7, 9 and 10: with everything healed and quiet. */
export function checkAtRest(checked: Checked): void {
  checkEnded(checked);
  checkAcknowledged(checked);
  checkGuests(checked);
  checkPlaces(checked);
  checkBlobs(checked);
  checkHistory(checked);
}

/** 5: whatever was begun has ended, and nobody is stuck. */
function checkEnded({ site, nodes, watch }: Checked): void {
  const now = site.clock.nowMs();
  for (const one of underWay(site)) {
    const [name = one] = one.split(' ');
    watch.broken(5, name, `has not ended: ${one}, ${waitingFor(site, name)}`);
  }
  for (const { daemon } of nodes)
    for (const { address, reason } of daemon?.runtime.stuck(now) ?? [])
      watch.broken(5, address, `stuck: ${reason}`);
}

/** What an object says of itself. */
function waitingFor({ view }: Site, name: string): string {
  const object = view.objects.get(name);
  const passing = passingOf(object?.kind ?? '', object?.state);
  return passing === null ? 'nothing to wait for' : passing.reason;
}

function passingOf(kind: string, state: unknown): { readonly reason: string } | null {
  switch (kind) {
    case 'instance':
      return instance.passing(state as InstanceState);
    case 'network':
      return network.passing(state as NetworkState);
    case 'interface':
      return interfaceKind.passing(state as InterfaceState);
    case 'artifact':
      return artifact.passing(state as ArtifactState);
    case 'blob':
      return blob.passing(state as BlobState);
    case 'disksnapshot':
      return diskSnapshot.passing(state as DiskSnapshotState);
    default:
      return null;
  }
}

/** 2: what was acknowledged is so. */
function checkAcknowledged({ site: { view }, workload, watch }: Checked): void {
  for (const name of workload.created)
    if (!workload.leaving.has(name) && !view.objects.has(name))
      watch.broken(2, name, 'was acknowledged, and is not there');
  for (const name of workload.deleted) {
    const state = view.objects.get(name)?.state as { readonly phase: string } | undefined;
    const isLeaving = state === undefined || ['deleted', 'delete-wait'].includes(state.phase);
    if (!isLeaving)
      watch.broken(2, name, `its deletion was acknowledged, and it is ${state.phase}`);
  }
  for (const [id, keys] of workload.keys) {
    const held = view.stateOf<NamespaceState>('namespace', id)?.keys ?? {};
    for (const key of keys)
      if (!Object.hasOwn(held, key)) watch.broken(2, `namespace/${id}`, `lost its key ${key}`);
    const events = view.told.filter(({ name }) => name === `namespace/${id}`).length;
    if (events <= keys.size)
      watch.broken(2, `namespace/${id}`, `${keys.size} keys were set, ${events} events tell of it`);
  }
}

/** 7 and 9: what is meant to run runs, where it is meant to, and nothing else. */
function checkGuests({ site: { view }, nodes, watch }: Checked): void {
  const machines = new Map(nodes.map(({ name, machine }) => [name, machine]));
  for (const [id, { phase, node, power }] of view.all<InstanceState>('instance')) {
    if (phase !== 'created') continue;
    const domain = machines.get(node ?? '')?.hypervisor.domains.get(id);
    const observed = domain?.observed.power ?? 'absent';
    if (observed !== power)
      watch.broken(7, `instance/${id}`, `is meant to be ${power} on ${node}, and is ${observed}`);
  }
  for (const { name, machine } of nodes)
    for (const id of machine.hypervisor.domains.keys()) {
      const state = view.stateOf<InstanceState>('instance', id);
      const isThere = state?.node === name && ['created', 'created-error'].includes(state.phase);
      if (!isThere) watch.broken(6, `instance/${id}`, `${state?.phase} has a domain on ${name}`);
    }
}

/** 5 and 6: nothing refers any more to a node that was removed, but for the place of last copies. */
export function checkRemoved({ site: { view }, watch }: Checked, gone: string): void {
  if (view.stateOf<NodeState>('node', gone)?.phase !== 'deleted')
    watch.broken(2, `node/${gone}`, 'was removed, and is not deleted');
  for (const [id, { phase, node }] of view.all<InstanceState>('instance'))
    if (node === gone && phase !== 'deleted')
      watch.broken(5, `instance/${id}`, `is ${phase} on ${gone}, which was removed`);
  for (const [id, { nodes, ports }] of view.all<NetworkState>('network')) {
    const isThere = Object.values(ports).some(({ node }) => node === gone);
    if (isThere || nodes.includes(gone))
      watch.broken(6, `network/${id}`, `has something on ${gone}, which was removed`);
  }
  for (const [id, { phase, replicas }] of view.all<BlobState>('blob')) {
    const copy = phase === 'deleted' ? undefined : replicas[gone];
    if (copy !== undefined && copy.phase !== 'lost')
      watch.broken(6, `blob/${id}`, `has a copy on ${gone}, which was removed: ${copy.phase}`);
  }
}

/** 6 and 9: a machine that was removed and is back runs nothing, and decides nothing. */
export function checkGivenUp({ watch }: Checked, { name, isServing, machine }: SimNode): void {
  if (isServing) watch.broken(1, `node/${name}`, 'was removed, and takes part again');
  for (const id of machine.hypervisor.domains.keys())
    watch.broken(9, `instance/${id}`, `has a domain on ${name}, which was removed`);
  for (const id of machine.net.segments.keys())
    watch.broken(6, `network/${id}`, `has a segment on ${name}, which was removed`);
}

/** What a network's state says of its machines is so. */
function checkPlaces({ site: { view }, nodes, watch }: Checked): void {
  const machines = new Map(nodes.map(({ name, machine }) => [name, machine]));
  for (const [id, state] of view.all<NetworkState>('network')) {
    if (state.phase !== 'created') continue;
    for (const [interfaceId, { node }] of Object.entries(state.ports)) {
      const segment = machines.get(node)?.net.segments.get(id);
      const port = segment?.ports.find((one) => one.interfaceId === interfaceId);
      if (port === undefined)
        watch.broken(7, `network/${id}`, `does not serve ${interfaceId} on ${node} at rest`);
      const { phase, float } = view.stateOf<InterfaceState>('interface', interfaceId) ?? {
        phase: 'none',
        float: null,
      };
      if (phase === 'created' && port?.floating !== (float?.address ?? null))
        watch.broken(7, `interface/${interfaceId}`, `floats as ${port?.floating} at rest`);
      if (String(segment?.routed) !== String(routedAddresses(state)))
        watch.broken(
          7,
          `network/${id}`,
          `has ${String(segment?.routed)} routed on ${node} at rest`,
        );
    }
  }
  for (const [id, { phase, networkId }] of view.all<InterfaceState>('interface')) {
    const ports = view.stateOf<NetworkState>('network', networkId)?.ports ?? {};
    const isGone = phase === 'deleted' || phase === 'error';
    if (isGone && Object.hasOwn(ports, id))
      watch.broken(6, `interface/${id}`, `is ${phase}, and still a port of ${networkId}`);
  }
}

/** 10 and 2: every archive has every event, in order and once, or says what it misses; the outbox has forgotten them. */
function checkHistory({ site, nodes, watch }: Checked): void {
  const { view } = site;
  for (const { name: node, archive } of nodes) {
    const items = replayed(archive);
    const gaps = items.filter((item) => item.what === 'gap');
    const told = items.filter((item) => item.what === 'event');
    const known = new Set(told.map(({ event }) => event.id));
    if (known.size < told.length) watch.broken(10, node, 'its archive tells something twice');
    if (told.some(({ revision }, at) => revision < (told[at - 1]?.revision ?? 0)))
      watch.broken(10, node, 'its archive is not in order');
    for (const { name, event, revision } of view.told) {
      const isTold =
        known.has(event) || gaps.some(({ from, to }) => from <= revision && revision <= to);
      if (!isTold) watch.broken(10, name, `${node} misses its event ${event} of ${revision}`);
    }
    if (told.length > view.told.length)
      watch.broken(10, node, 'its archive tells what has never been stored');
  }
  for (const name of keptTooLong(site)) watch.broken(10, name, 'is still in the outbox');
}

/** Until all archives have recorded an event and said so, and its owner has heard of that. */
const OUTBOX_MS = 60_000;

function keptTooLong({ view, clock }: Site): string[] {
  const kept = [...view.events].flatMap(([name, events]) =>
    [...events].map((event) => `${name} ${event}`),
  );
  const now = clock.monoMs();
  return kept.filter((one) => now - (view.toldAtMono.get(one) ?? 0) > OUTBOX_MS);
}

function replayed(archive: ArchiveFile): HistoryItem[] {
  const items: HistoryItem[] = [];
  const filter = { namespace: null, of: null, id: null, types: null };
  for (let after = 0; ;) {
    const asked = { kind: 'page', after, upTo: archive.cursor, ...filter, limit: 1_000 } as const;
    const page = archive.answer(asked) as unknown as HistoryPage;
    items.push(...page.items);
    after = page.through;
    if (!page.more) return items;
  }
}

/** But for what a word that was lost has left in the spool, which goes by its age (spool.ts). */
function leftoversOf({ machine }: SimNode): string[] {
  return machine.leftovers().filter((thing) => !thing.startsWith('spooled '));
}

/** Whether everything that was asked to go has gone. */
export function isGone({ site, nodes }: Checked): boolean {
  const isClean = nodes.every((node) => leftoversOf(node).length === 0);
  return isClean && remaining(site).length === 0;
}

/** Objects that are not deleted; namespaces cannot be. */
function remaining({ view }: Site): string[] {
  return [...view.objects].flatMap(([name, { kind, id, state }]) => {
    const { phase } = state as { readonly phase: string };
    const isKept = KEPT_KINDS.includes(kind) || id === FLOATING || phase === 'deleted';
    return isKept ? [] : [`${name} ${phase}`];
  });
}

/** 5 and 6: everything has gone, and nothing is left on any machine. */
export function checkGone({ site, nodes, watch }: Checked): void {
  for (const one of remaining(site)) watch.broken(5, one.split(' ')[0] ?? one, `is left: ${one}`);
  for (const node of nodes)
    for (const thing of leftoversOf(node)) watch.broken(6, thing, `is left on ${node.name}`);
}

/** 3 and 6: after the time that deleted objects stay readable, nothing of them is stored any more. */
export function checkForgotten({ site, watch }: Checked): void {
  const { view } = site;
  for (const { kind, id, state } of view.objects.values())
    if (!KEPT_KINDS.includes(kind) && id !== FLOATING)
      watch.broken(6, `${kind}/${id}`, `is still stored after its time: ${JSON.stringify(state)}`);
  for (const [value, holder] of view.claims)
    // Who was admitted, or removed, stays so.
    if (!value.startsWith('node/')) watch.broken(3, value, `is still held by ${holder}`);
  for (const row of view.names) watch.broken(6, row, 'is still in the index of names');
  for (const name of keptTooLong(site)) watch.broken(6, name, 'is still in the outbox');
  const pool = view.stateOf<NetworkState>('network', FLOATING);
  for (const [address, { owner }] of Object.entries(pool?.reservations ?? {}))
    if (owner !== null && owner !== `network/${FLOATING}`)
      watch.broken(3, address, `is still held by ${owner}`);
}
