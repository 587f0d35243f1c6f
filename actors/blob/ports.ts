// What blobs and disks need of the machine they are on; src/drivers/image implements it.
//
// I1  A blob's bytes are immutable; a replica counts only once its hash has been computed over all of it.
// I2  What the world sent is hostile until checked: no backing file, no data file, a known format.
// I3  Base blobs are shared and read-only; an instance writes to its own overlay.
import type { WantedBy } from '../network/ports.ts';

export type BlobSource =
  /** Streamed, resumed when broken off; http and https only. */
  | { readonly kind: 'url'; readonly url: string }
  /** A file on this machine, named by its operator; copied. */
  | { readonly kind: 'file'; readonly path: string }
  /** Bytes that were brought to this machine (spool.ts); kept as they are, whatever they are. */
  | { readonly kind: 'spool'; readonly id: string }
  /** The bytes of another blob, which has a replica on this machine; made into a disk. */
  | { readonly kind: 'blob'; readonly blobId: string };

/** Nodes that hold a replica: its bytes are copied as they are kept there, and become the replica described. */
export interface PeersSource {
  readonly kind: 'peers';
  readonly nodes: readonly string[];
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
}

export interface ReplicaProgress {
  readonly step: 'downloading' | 'copying' | 'checking' | 'converting' | 'hashing';
  readonly doneBytes: number;
  /** Null while unknown. */
  readonly totalBytes: number | null;
}

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
  /** Removes the replica and whatever is half made of it. Quiet when there is none. */
  removeReplica(blobId: string, by: WantedBy): Promise<void>;
  /** Ids of the complete replicas that are really there. */
  replicas(): Promise<readonly string[]>;
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
