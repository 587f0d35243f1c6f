// Every metric, once. Counters are named here without `_total`, which their samples carry in both text formats.
//
// Labels are bounded by what is in this program or on this machine: routes by their template, never by a URL; kinds,
// effects and codes; peers; the instances that run here.

export interface Metric {
  /** summary: a sum and a count. */
  readonly type: 'counter' | 'gauge' | 'histogram' | 'summary';
  readonly help: string;
  readonly labels: readonly string[];
}

/** Of those that run on this machine. */
const INSTANCE = ['instance', 'namespace', 'name'] as const;

export const METRICS = {
  troupe_build_info: {
    type: 'gauge',
    help: 'Always 1; the labels say what runs.',
    labels: ['version', 'node_version', 'node'],
  },
  troupe_http_request_duration_seconds: {
    type: 'histogram',
    help: 'From the head of a request to the end of its answer.',
    labels: ['method', 'route'],
  },
  troupe_http_requests: {
    type: 'counter',
    help: 'Requests by status; 499 was given up by the client.',
    labels: ['method', 'route', 'status'],
  },
  troupe_http_requests_in_flight: {
    type: 'gauge',
    help: 'Requests that are being answered.',
    labels: [],
  },
  troupe_actors: { type: 'gauge', help: 'Actors in memory.', labels: ['kind'] },
  troupe_mailbox_messages: {
    type: 'gauge',
    help: 'Messages that wait for their turn.',
    labels: ['kind'],
  },
  troupe_mailbox_deepest_messages: {
    type: 'gauge',
    help: 'Messages in the fullest mailbox.',
    labels: [],
  },
  troupe_turns: { type: 'counter', help: 'Messages taken in.', labels: [] },
  troupe_turn_writes: { type: 'counter', help: 'Turns that wrote to the store.', labels: [] },
  troupe_turn_refusals: { type: 'counter', help: 'Turns that ended in a refusal.', labels: [] },
  troupe_turn_store_failures: {
    type: 'counter',
    help: 'Turns whose write or read failed.',
    labels: [],
  },
  troupe_actor_crashes: { type: 'counter', help: 'Crashes of actors.', labels: [] },
  troupe_actor_restarts: { type: 'counter', help: 'Restarts after a crash.', labels: [] },
  troupe_actor_parks: { type: 'counter', help: 'Actors given up after crashes.', labels: [] },
  troupe_dead_letters: {
    type: 'counter',
    help: 'Messages that reached nobody and that nobody waits for.',
    labels: ['kind', 'reason'],
  },
  troupe_effects: {
    type: 'counter',
    help: 'Runs of effects that have ended.',
    labels: ['kind', 'effect', 'outcome'],
  },
  troupe_effects_running: {
    type: 'gauge',
    help: 'Runs of effects under way.',
    labels: ['kind', 'effect'],
  },
  troupe_effect_retries: {
    type: 'counter',
    help: 'Attempts beyond the first.',
    labels: ['kind', 'effect'],
  },
  troupe_effect_duration_seconds: {
    type: 'summary',
    help: 'From first attempt to recorded outcome.',
    labels: ['kind', 'effect'],
  },
  troupe_stuck_objects: {
    type: 'gauge',
    help: 'Objects decided here that are past their deadline or cannot go on.',
    labels: ['kind'],
  },
  troupe_objects: {
    type: 'gauge',
    help: 'Objects of the cluster, as this daemon knows it.',
    labels: ['kind'],
  },
  troupe_shards_owned: { type: 'gauge', help: 'Shards that this daemon decides for.', labels: [] },
  troupe_shards_taken: { type: 'counter', help: 'Shards taken.', labels: [] },
  troupe_shards_given_up: {
    type: 'counter',
    help: 'Shards given up to others, or lost with the lease.',
    labels: [],
  },
  troupe_lease_losses: {
    type: 'counter',
    help: 'How often the lease was lost: the daemon stopped deciding.',
    labels: [],
  },
  troupe_is_member: { type: 'gauge', help: '1 while this daemon has joined.', labels: [] },
  troupe_members: { type: 'gauge', help: 'Live daemons, as this one knows.', labels: [] },
  troupe_copy_stale: {
    type: 'gauge',
    help: '1 while the copy that answers reads may be old.',
    labels: [],
  },
  troupe_copy_revision: { type: 'gauge', help: 'Store revision of that copy.', labels: [] },
  troupe_store_duration_seconds: {
    type: 'histogram',
    help: 'Calls to etcd.',
    labels: ['operation'],
  },
  troupe_store_errors: {
    type: 'counter',
    help: 'Calls to etcd that failed.',
    labels: ['operation', 'code'],
  },
  troupe_mesh_link_up: {
    type: 'gauge',
    help: '1: a link is open; 0: none, or none that works.',
    labels: ['peer'],
  },
  troupe_mesh_asks_in_flight: {
    type: 'gauge',
    help: 'Asks to another daemon that wait for their answer.',
    labels: [],
  },
  troupe_mesh_ask_duration_seconds: {
    type: 'histogram',
    help: 'Asks to other daemons, refused ones too.',
    labels: [],
  },
  troupe_mesh_ask_errors: {
    type: 'counter',
    help: 'Asks that came to nothing: not answered, or answered with an error.',
    labels: ['code'],
  },
  troupe_audits: { type: 'counter', help: 'Audits of this machine.', labels: [] },
  troupe_drift: {
    type: 'counter',
    help: 'Differences between machine, ledger and wishes that audits found.',
    labels: ['resource', 'repaired'],
  },
  troupe_drift_unrepaired: {
    type: 'gauge',
    help: 'Differences that the last audit could not repair.',
    labels: [],
  },
  troupe_instance_cpu_seconds: {
    type: 'counter',
    help: 'Processor time of the guest.',
    labels: [...INSTANCE],
  },
  troupe_instance_resident_memory_bytes: {
    type: 'gauge',
    help: "What its QEMU holds of the machine's memory.",
    labels: [...INSTANCE],
  },
  troupe_instance_disk_read_bytes: {
    type: 'counter',
    help: 'Read by the guest.',
    labels: [...INSTANCE, 'device'],
  },
  troupe_instance_disk_written_bytes: {
    type: 'counter',
    help: 'Written by the guest.',
    labels: [...INSTANCE, 'device'],
  },
  troupe_instance_disk_reads: {
    type: 'counter',
    help: 'Read requests.',
    labels: [...INSTANCE, 'device'],
  },
  troupe_instance_disk_writes: {
    type: 'counter',
    help: 'Write requests.',
    labels: [...INSTANCE, 'device'],
  },
  troupe_instance_disk_used_bytes: {
    type: 'gauge',
    help: 'What the disk takes on the machine.',
    labels: [...INSTANCE, 'device'],
  },
  troupe_instance_network_received_bytes: {
    type: 'counter',
    help: 'Received by the guest.',
    labels: [...INSTANCE, 'mac'],
  },
  troupe_instance_network_sent_bytes: {
    type: 'counter',
    help: 'Sent by the guest.',
    labels: [...INSTANCE, 'mac'],
  },
  troupe_instance_network_received_packets: {
    type: 'counter',
    help: 'Received by the guest.',
    labels: [...INSTANCE, 'mac'],
  },
  troupe_instance_network_sent_packets: {
    type: 'counter',
    help: 'Sent by the guest.',
    labels: [...INSTANCE, 'mac'],
  },
  process_cpu_seconds: { type: 'counter', help: 'CPU time of the daemon.', labels: [] },
  process_resident_memory_bytes: { type: 'gauge', help: 'Its memory.', labels: [] },
  process_start_time_seconds: { type: 'gauge', help: 'When it was started.', labels: [] },
  process_open_fds: { type: 'gauge', help: 'Its open files and sockets.', labels: [] },
  nodejs_heap_used_bytes: { type: 'gauge', help: 'Its JavaScript heap.', labels: [] },
  nodejs_eventloop_utilization: {
    type: 'gauge',
    help: 'Share of the time since the last scrape in which its event loop was busy.',
    labels: [],
  },
} as const satisfies Readonly<Record<`${string}`, Metric>>;

export type MetricName = keyof typeof METRICS;

/** As its samples are called on the wire; docs/operations.md lists these. */
export function shownName(name: MetricName): string {
  return METRICS[name].type === 'counter' ? `${name}_total` : name;
}
