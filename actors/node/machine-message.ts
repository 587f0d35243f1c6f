// What is asked of a machine's daemon itself rather than of an actor: what its actors are doing, and what only the
// machine has (consoles). `machine/<node>` answers; the router brings it there.
import type { Ref } from '../kernel/kind.ts';
import { AgentCommand } from '../agent-operation/state.ts';
import { SnapshotDisk } from '../disk-snapshot/devices.ts';
import {
  closed,
  received,
  messageDecoder,
  nullable,
  Type,
  type MessageOf,
} from '../kernel/schema.ts';

/** Of what goes in one message: well below what the mesh takes. */
export const PIECE_BYTES = 512 * 1024;

const Bytes = Type.Unsafe<Uint8Array>(Type.Unknown());

const MESSAGES = {
  /** Replies what the actor is doing; null: it does not run there. `address` is `kind/id`. */
  inspect: { address: Type.String() },
  /** Replies what is past its deadline there. */
  stuck: {},
  /** Replies the daemon's process id and the actors that are at work or waited for there. */
  busy: {},
  /** Replies what the machine has and uses. */
  resources: {},
  /** Replies the processor time of the service's processes. */
  processes: {},
  /** Replies the end of the serial console's log, base64; a negative length: all of it. */
  'read-console': { instanceId: Type.String(), lengthBytes: Type.Integer() },
  'clear-console': { instanceId: Type.String() },
  /** Replies what the ticket that was made there is worth, once; null: nothing (any more). */
  'redeem-ticket': { secret: Type.String() },
  /** Replies `vnc` or `spice`: how a screen is shown there that was asked for as `vdi`. */
  'screen-kind': { vdi: Type.String() },
  /** Replies what the instance has used lately, as events, oldest first. */
  usage: { instanceId: Type.String() },
  /** Replies the boot of the daemon, for which an agent operation is meant that is begun now. Error: `object/not-ready`. */
  'guest-boot': { instanceId: Type.String() },
  /**
   * Has the agent in the guest carry the commands out, unless that was asked for before; replies the outcome, or null when
   * there is none yet after a while. `boot`: of the daemon that is meant (guest-operations.ts).
   */
  'run-agent-operation': {
    operationId: Type.String(),
    instanceId: Type.String(),
    boot: Type.String(),
    commands: Type.Array(AgentCommand),
  },
  /** Nobody waits for its outcome any more. */
  'end-agent-operation': { operationId: Type.String() },
  /**
   * Copies the disks into the spool, each under the id of its blob, unless that was begun before; replies when it has ended,
   * or after a while how far it is (disk-copying.ts).
   */
  'copy-disks': {
    snapshotId: Type.String(),
    instanceId: Type.String(),
    disks: Type.Array(SnapshotDisk),
  },
  /** Nobody waits for it any more, and for what is in the spool under these ids. */
  'end-copy-disks': { snapshotId: Type.String(), blobIds: Type.Array(Type.String()) },
  /** Takes a picture of the guest's screen into the spool; replies its id there. */
  'take-screenshot': { instanceId: Type.String() },
  /** Copies the last 64 MiB at most of what an instance's console has said into the spool; replies how many bytes that are. */
  'keep-console': { instanceId: Type.String(), spoolId: Type.String() },
  /** Brings bytes into its spool, at this place; replies how many are there then. Repeated: nothing changes. */
  'spool-write': { id: Type.String(), offset: Type.Integer({ minimum: 0 }), bytes: Bytes },
  'spool-resize': { id: Type.String(), sizeBytes: Type.Integer({ minimum: 0 }) },
  /** Replies how many bytes are there; null: there is no such file. */
  'spool-size': { id: Type.String() },
  'spool-remove': { id: Type.String() },
  /** Replies bytes of its replica of a blob; fewer at its end. Error: `image/missing`. */
  'read-replica': {
    blobId: Type.String(),
    offset: Type.Integer({ minimum: 0 }),
    lengthBytes: Type.Integer({ minimum: 0, maximum: PIECE_BYTES }),
  },
  /** Replies what clients are told of its replica of a blob (Facts). Errors: `image/missing`, `image/unreachable` (come again). */
  'describe-replica': { blobId: Type.String() },
  /** Has its replica of a blob served for the next 20 s, block by block; replies where. Error: `image/missing`. */
  'serve-replica': { blobId: Type.String() },
  /** Replies whether it reads the blob from another node now, so that a disk can start from it before its copy is here. */
  'read-through': { blobId: Type.String() },
  /** Replies whether the URL still gives what it gave when it was fetched (actors/artifact/state.ts, SourceVerdict). */
  'check-source': {
    url: Type.String(),
    etag: nullable(Type.String()),
    lastModified: nullable(Type.String()),
    sizeBytes: Type.Number(),
  },
  /** The same of a file of the machine; `etag`: of when it was copied. */
  'check-file': { path: Type.String(), etag: nullable(Type.String()) },
  /** Replies what pinging the address from the network's router there printed; takes some 10 s. */
  ping: { networkId: Type.String(), address: Type.String() },
};
export type MachineMessage = MessageOf<typeof MESSAGES>;
export const decodeMachineMessage = messageDecoder('machine', MESSAGES);

/** The reply to busy. */
export const BusyReply = closed({
  pid: Type.Integer(),
  busy: Type.Array(
    closed({ address: Type.String(), doing: Type.String(), waiting: Type.Integer() }),
  ),
});
export const decodeBusy = received('busy', BusyReply);

/** The reply to serve-replica. */
export const Served = closed({ host: Type.String(), port: Type.Integer() });
export const decodeServed = received('served replica', Served);

/** The kind in the address; what comes after it is the node. */
export const MACHINE = 'machine';

export function machineRef(node: string): Ref<MachineMessage> {
  return { kind: MACHINE, id: node };
}
