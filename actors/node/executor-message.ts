// What a cluster actor tells a machine's executor: the whole wanted state of one thing, and how fresh it is.
//
// E1  `spec` null means: gone. A want may be lost, late or repeated; the executor compares epoch and generation.
// E2  The answer to a want is the report of what was reached; it comes once the executor has converged.
import type { Json } from '../kernel/json.ts';
import type { Ref } from '../kernel/kind.ts';
import type { EffectContext } from '../kernel/ports.ts';

export type Resource = 'domain' | 'segment' | 'replica';

export interface ExecutorMessage {
  readonly kind: 'want';
  /** Address of the actor that wants it; reports about later changes go there. */
  readonly owner: string;
  readonly epoch: number;
  readonly generation: number;
  readonly spec: unknown;
}

/** The kind in an executor's address; what comes after it is no actor of the store. */
export const EXECUTOR = 'executor';

/** The executor of one thing on one machine: `executor/<node>/<resource>/<id>`. */
export function executorRef(node: string, resource: Resource, id: string): Ref<ExecutorMessage> {
  return { kind: EXECUTOR, id: `${node}/${resource}/${id}` };
}

/** The machine that an executor's id names. */
export function nodeOfExecutor(id: string): string {
  return id.slice(0, Math.max(0, id.indexOf('/')));
}

export interface Wish {
  readonly node: string;
  readonly resource: Resource;
  readonly generation: number;
  /** Null: gone. */
  readonly spec: unknown;
  /** How long converging may take before the ask is repeated; default 120 s. */
  readonly timeoutMs?: number;
}

/** Tells a machine what is wanted of the thing that this actor owns there; resolves to the executor's report. */
export function want(context: EffectContext<never>, wish: Wish): Promise<Json> {
  const { node, resource, generation, spec, timeoutMs = 120_000 } = wish;
  const owner = `${context.self.kind}/${context.self.id}`;
  const { epoch } = context;
  const message = { kind: 'want', owner, epoch, generation, spec } as const;
  return context.ask(executorRef(node, resource, context.self.id), message, timeoutMs);
}
