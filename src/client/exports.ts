// What programs import, in Node (index.ts) and in browsers (browser.ts) alike.
export * from './api-error.ts';
export type { Answered, Asked } from './connection.ts';
export type { AnswerOf, BodyOf, Given, Operation } from './operator.ts';
export type * as views from './operations.ts';
export type { WaitOptions } from './objects/handle.ts';
export { Artifact, Artifacts, type CacheOptions, type UploadOptions } from './objects/artifact.ts';
export { Blob, Blobs, type Extent } from './objects/blob.ts';
export { Labels } from './objects/label.ts';
export { Instance, Instances, type NewInstance, type NewInterface } from './objects/instance.ts';
export { Network, NetworkInterface, Networks, type NewNetwork } from './objects/network.ts';
export {
  StreamError,
  type EventFilter as StreamFilter,
  type StreamEvent,
  type StreamGap,
  type StreamItem,
} from './event-stream.ts';
export type { EventFilter } from './objects/past-events.ts';
export { Troupe, type TroupeOptions } from './troupe.ts';
