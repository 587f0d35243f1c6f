// The tour across a lab: one image, one network, a guest on every node, and every guest pings every other.
import { Client, type View } from '../../src/client/client.ts';
import { buildGuest } from '../../src/daemon/guest-images.ts';
import { exec, type Exec } from '../../src/drivers/exec.ts';
import { segmentNames } from '../../src/drivers/network/names.ts';
import { guestLink, tourKey, type GuestLink } from '../../src/tour/guest-link.ts';
import type { Progress } from '../../src/tour/progress.ts';
import {
  addressOf,
  ensureImage,
  ensureInstance,
  ensureNetwork,
  imageSize,
  text,
} from '../../src/tour/steps.ts';
import type { Lab, LabNode } from './lab.ts';
import { inside } from './machine.ts';
import { apiUrlOf, loginOf, tagOf } from './node-daemon.ts';

const TRACE = 'lab-tour';
/** Under TCG, on a busy machine. */
const BOOT_MS = 300_000;

export interface LabTour {
  readonly lab: Lab;
  readonly progress: Progress;
  readonly stop?: AbortSignal | undefined;
}

/** A guest on each node. */
export interface LabGuest {
  readonly node: LabNode;
  readonly instance: View;
  readonly address: string;
  /** Its network's namespace on that node. */
  readonly netns: string;
  readonly keyFile: string;
  readonly link: GuestLink;
}

export function clientOf(node: LabNode): Client {
  return new Client({ apiUrl: apiUrlOf(node), ...loginOf(node) });
}

/** Errors: the first step that fails, with the reason that the object gives. */
export async function takeLabTour({ lab, progress, stop }: LabTour): Promise<LabGuest[]> {
  const [first] = lab.nodes;
  if (first === undefined) throw new Error('a lab without nodes has nothing to show');
  const client = clientOf(first);
  const dirs = { dataDir: lab.directory, cacheDir: String(lab.settings['cache-dir']) };
  const image = `file://${await progress.phase('guest image', () => buildGuest(dirs, TRACE, stop))}`;
  const key = await tourKey(lab.directory, exec, TRACE);
  await progress.phase('image', (note) => ensureImage({ client, image, stop }, note), imageSize);
  const network = await progress.phase(
    'network',
    () => ensureNetwork({ client, stop }),
    (made) => `${text(made, 'netblock')}, VNI ${String(made['vxlan_id'])}`,
  );
  const common = { client, image, isOwnGuest: true, publicKey: key.publicKey, stop };
  const instances = await progress.phase('instances', (note) =>
    Promise.all(
      lab.nodes.map(({ name: node }) =>
        ensureInstance({ ...common, name: `tour-${node}`, node }, note),
      ),
    ),
  );
  const guests = lab.nodes.map((node, at) =>
    guestOn(node, instances[at] ?? {}, Number(network['vxlan_id']), key.file),
  );
  await progress.phase('guests are up', () =>
    Promise.all(guests.map(({ link }) => link.ping(BOOT_MS))),
  );
  await progress.phase('each reaches all others', () => crossPing(guests), describePings);
  return guests;
}

function guestOn(node: LabNode, instance: View, vni: number, keyFile: string): LabGuest {
  const netns = segmentNames(tagOf(node), vni).namespace;
  const address = addressOf(instance);
  const there: Exec = (program, args, options) => {
    const [outer = '', ...words] = inside(node.machine, [program, ...args]);
    return exec(outer, words, options);
  };
  return {
    node,
    instance,
    address,
    netns,
    keyFile,
    link: guestLink({ exec: there, netns, address, keyFile, trace: TRACE }),
  };
}

/** From inside each guest; rejects with what the first that fails says. */
export async function crossPing(guests: readonly LabGuest[]): Promise<number> {
  let pings = 0;
  for (const from of guests) {
    const others = guests.filter((one) => one !== from);
    const command = others
      .map(({ address }) => `ping -c 1 -W 5 ${address} >/dev/null`)
      .join(' && ');
    await from.link.ssh(command, BOOT_MS);
    pings += others.length;
  }
  return pings;
}

function describePings(pings: number): string {
  return `${pings} pings over VXLAN`;
}
