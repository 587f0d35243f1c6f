// What blobs and disks need of the machine they are on; src/drivers/image implements it.
//
// I1  A blob's bytes are immutable; a replica counts only once its hash has been computed over all of it.
// I2  What the world sent is hostile until checked: no backing file, no data file, a known format.
// I3  Base blobs are shared and read-only; an instance writes to its own overlay.
import type { WantedBy } from '../network/ports.ts';

/** What the bytes of a source have to hash to, hex. */
export interface Checksum {
  readonly algorithm: 'sha256' | 'sha512';
  readonly hex: string;
}

export type BlobSource =
  /** Streamed, resumed when broken off; http and https only. */
  | { readonly kind: 'url'; readonly url: string; readonly checksum?: Checksum }
  /** A file on this machine, named by its operator; copied. */
  | {
      readonly kind: 'file';
      readonly path: string;
      readonly node?: string;
      readonly checksum?: Checksum;
    }
  /**
   * Bytes that were brought to this machine (spool.ts); kept as they are, whatever they are. Those that depend on a blob
   * have to be a qcow2 that says so (linked.ts).
   */
  | { readonly kind: 'spool'; readonly id: string; readonly dependsOn?: string }
  /** The bytes of another blob, which has a replica on this machine; made into a disk. */
  | { readonly kind: 'blob'; readonly blobId: string };

/** Nodes that hold a replica: its bytes are copied as they are kept there, and become the replica described. */
export interface PeersSource {
  readonly kind: 'peers';
  readonly nodes: readonly string[];
  /** Somebody waits for it: no limit on copies holds it up. */
  readonly isUrgent?: boolean;
  /** Nodes that are copying it too: chunks come from them as they get them. */
  readonly peers?: readonly string[];
  readonly content: ReplicaReport;
}

export type ReplicaSource = BlobSource | PeersSource;

export interface ReplicaSpec {
  readonly blobId: string;
  readonly source: ReplicaSource;
  /** Refuse more than this, bytes. */
  readonly maxSizeBytes: number;
  /** Set once the blob is known: what a replica has to hash to. */
  readonly sha512: string | null;
}

export interface ReplicaReport {
  /** Of the replica as kept (qcow2, or the ISO as it came), bytes. */
  readonly sizeBytes: number;
  readonly sha512: string;
  /** What came from the source, before any conversion: bytes, hash, format. */
  readonly sourceSizeBytes: number;
  readonly sourceSha256: string;
  readonly sourceFormat: string;
  readonly format: 'qcow2' | 'iso' | 'raw';
  readonly mimeType: string;
  readonly virtualSizeBytes: number;
  /** Validators of the source for asking later whether it changed. */
  readonly etag: string | null;
  readonly lastModified: string | null;
  /** The blob that it is read through. */
  readonly dependsOn?: string;
  /** Of the SHA-256s of its chunks, one after the other (docs/blob-protocol.md); absent in what was made by an older version. */
  readonly chunksSha256?: string;
  /** Absent in what was made by an older version, until describeReplica() has found it out. */
  readonly facts?: ReplicaFacts;
}

/** What clients are told of a replica beyond what it takes to use it. */
export interface ReplicaFacts {
  /** Of the bytes as kept, hex. */
  readonly sha1: string;
  readonly sha256: string;
  readonly xxh128: string;
  /** What the file took on the disk of the node that made it, bytes. */
  readonly diskBytes: number;
  /** As qemu-img says of a qcow2; null for anything else. */
  readonly clusterBytes: number | null;
  readonly compat: string | null;
  readonly compression: string | null;
  readonly extendedL2: boolean | null;
}

export interface ReplicaProgress {
  readonly step: 'downloading' | 'copying' | 'checking' | 'converting' | 'hashing';
  readonly doneBytes: number;
  /** Null while unknown. */
  readonly totalBytes: number | null;
}

export interface VerifyOptions {
  /** What it ought to hash to; else what is noted beside it. */
  readonly sha512?: string;
  /** Read at most so quickly. */
  readonly bytesPerSecond?: number;
}

/** What re-reading a replica found. */
export type Verdict =
  | { readonly isGood: true }
  | {
      readonly isGood: false;
      readonly problem: 'size' | 'checksum';
      /** With the path, and what was expected and found. */
      readonly reason: string;
    };

export interface BlobStore {
  /**
   * Fetches, checks, converts, hashes, keeps. Done already: answers at once. Errors: `image/bad-url`,
   * `image/unreachable`, `image/refused` (hostile or unusable content), `image/damaged`, `image/missing` (no peer has
   * it), `host/disk-full`.
   */
  ensureReplica(
    spec: ReplicaSpec,
    by: WantedBy,
    onProgress: (progress: ReplicaProgress) => void,
  ): Promise<ReplicaReport>;
  /** Removes the replica, whatever is half made of it, and what was spooled under its id. Quiet when there is none. */
  removeReplica(blobId: string, by: WantedBy): Promise<void>;
  /** Ids of the complete replicas that are really there. */
  replicas(): Promise<readonly string[]>;
  /** When each replica that is there, complete or not, was last known to be good, ms since the epoch; 0: never. */
  checkedAt(): Promise<ReadonlyMap<string, number>>;
  /**
   * Reads all of a replica again. A bad one is marked: it is not served to others any more, and ensureReplica makes it
   * again. Throws `image/missing` when there is none.
   */
  verify(blobId: string, signal: AbortSignal, asked?: VerifyOptions): Promise<Verdict>;
}

/** A disk as its instance wants it. */
export interface DiskSpec {
  readonly instanceId: string;
  /** `vda`, `vdc` …: unique within the instance. */
  readonly device: string;
  /** Null: a blank disk. */
  readonly baseBlobId: string | null;
  /** GiB; null: the size of the base. */
  readonly sizeGiB: number | null;
}

export interface DiskReport {
  readonly path: string;
  readonly format: 'qcow2' | 'raw';
  /** 'cdrom' when the base is an ISO file system: attached read-only, without an overlay. */
  readonly media: 'disk' | 'cdrom';
  readonly virtualSizeBytes: number;
}

/** File name (slashes make folders) to content. */
export type FileTree = Readonly<Record<string, string | Uint8Array>>;

export interface DiskStore {
  /** An overlay on the local replica; never recreated once it exists. Errors: `image/missing`, `image/too-small-disk`, `host/disk-full`. */
  ensureDisk(spec: DiskSpec, by: WantedBy): Promise<DiskReport>;
  /** A file of the instance's own with the blob's bytes, for its UEFI variables to start from; its path. Errors: `image/missing`, `image/refused`, `host/disk-full`. */
  ensureNvramTemplate(instanceId: string, blobId: string, by: WantedBy): Promise<string>;
  /** An ISO (label `config-2`, Rock Ridge and Joliet) with these files; rewritten when they differ. */
  ensureConfigDrive(instanceId: string, files: FileTree, by: WantedBy): Promise<DiskReport>;
  /** Every disk, config drive, NVRAM and log of the instance. Quiet when there is nothing. */
  removeDisks(instanceId: string, by: WantedBy): Promise<void>;
}
