// Schemas that the description of the API calls by a name; others stand where they are used.
import type { TSchema } from '../../../actors/kernel/schema.ts';
import { ArtifactView } from '../artifacts/artifact-view.ts';
import { UploadView } from '../artifacts/uploads.ts';
import { BlobView } from '../blobs/blob-view.ts';
import { NamespaceView } from '../identity/namespaces.ts';
import { InstanceView } from '../instances/instance-view.ts';
import { InterfaceView } from '../instances/interface-view.ts';
import { AddressView, NetworkView } from '../networks/network-view.ts';
import { NodeView } from '../nodes/nodes.ts';
import { EventView } from '../objects/events.ts';
import { Metadata } from '../objects/metadata.ts';

export const NAMED: ReadonlyMap<TSchema, string> = new Map<TSchema, string>([
  [AddressView, 'Address'],
  [ArtifactView, 'Artifact'],
  [BlobView, 'Blob'],
  [EventView, 'Event'],
  [InstanceView, 'Instance'],
  [InterfaceView, 'Interface'],
  [Metadata, 'Metadata'],
  [NamespaceView, 'Namespace'],
  [NetworkView, 'Network'],
  [NodeView, 'Node'],
  [UploadView, 'Upload'],
]);
