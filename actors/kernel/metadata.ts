// What every kind lets its users keep with an object: pairs of a key and any JSON value, in every phase.
import { next, refuse, type Kind, type Message, type Ref, type Step } from './kind.ts';
import { messageDecoder, Type, type MessageOf } from './schema.ts';

const MESSAGES = {
  'set-metadata': { key: Type.String(), value: Type.Unknown() },
  /** Quiet about a key that is not there. */
  'remove-metadata': { key: Type.String() },
};
export type MetadataMessage = MessageOf<typeof MESSAGES>;

export const decodeMetadataMessage = messageDecoder('metadata', MESSAGES);

/** An object that takes metadata. */
export function metadataRef(address: { kind: string; id: string }): Ref<MetadataMessage> {
  return { kind: address.kind, id: address.id };
}

interface Described {
  readonly phase: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** The kind, that takes metadata besides its own messages. */
export function withMetadata<S extends Described, M extends Message, E extends string>(
  kind: Kind<S, M, E>,
): Kind<S, M | MetadataMessage, E> {
  return {
    ...kind,
    decodeMessage: (value) =>
      isMetadata(value) ? decodeMetadataMessage(value) : kind.decodeMessage(value),
    transition: (state, message, turn) => {
      if (!isMetadata(message)) return kind.transition(state, message as M, turn);
      if (state.phase !== 'none') return changed(state, message);
      return refuse(state, 'object/not-found', `${kind.kind} not found`);
    },
  };
}

function changed<S extends Described>(state: S, message: MetadataMessage): Step<S> {
  const { key } = message;
  if (message.kind === 'set-metadata') {
    const metadata = { ...state.metadata, [key]: message.value };
    return next({ ...state, metadata }, [
      { type: 'mutate', message: 'set metadata', extra: { key } },
    ]);
  }
  if (!Object.hasOwn(state.metadata, key)) return next(state);
  const { [key]: _, ...others } = state.metadata;
  return next({ ...state, metadata: others }, [
    { type: 'mutate', message: 'removed metadata', extra: { key } },
  ]);
}

function isMetadata(value: unknown): value is MetadataMessage {
  const kind = typeof value === 'object' && value !== null && 'kind' in value ? value.kind : '';
  return kind === 'set-metadata' || kind === 'remove-metadata';
}
