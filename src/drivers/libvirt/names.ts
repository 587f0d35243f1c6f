// libvirt's enumerations as names. A number that is newer than this list reads as `unknown`.

/** virDomainState, in order. */
const STATES = [
  'nostate',
  'running',
  'blocked',
  'paused',
  'shutdown',
  'shutoff',
  'crashed',
  'pmsuspended',
] as const;
export type DomainState = (typeof STATES)[number] | 'unknown';

/** Why a domain is in its state (virDomain…Reason), in order. */
const STATE_REASONS: Readonly<Record<string, readonly string[]>> = {
  running: words(
    'unknown booted migrated restored from-snapshot unpaused migration-canceled ' +
      'save-canceled wakeup crashed postcopy postcopy-failed',
  ),
  paused: words(
    'unknown user migration save dump io-error watchdog from-snapshot shutting-down ' +
      'snapshot crashed starting-up postcopy postcopy-failed',
  ),
  shutdown: ['unknown', 'user'],
  shutoff: words('unknown shutdown destroyed crashed migrated saved failed from-snapshot daemon'),
  crashed: ['unknown', 'panicked'],
};

/** virDomainEventType, in order. */
const LIFECYCLES = [
  'defined',
  'undefined',
  'started',
  'suspended',
  'resumed',
  'stopped',
  'shutdown',
  'pmsuspended',
  'crashed',
] as const;
export type Lifecycle = (typeof LIFECYCLES)[number] | 'unknown';

/** What a lifecycle event's detail means (virDomainEvent…DetailType), in order. */
const LIFECYCLE_DETAILS: Readonly<Record<string, readonly string[]>> = {
  defined: ['added', 'updated', 'renamed', 'from-snapshot'],
  undefined: ['removed', 'renamed'],
  started: ['booted', 'migrated', 'restored', 'from-snapshot', 'wakeup'],
  suspended: words(
    'paused migrated io-error watchdog restored from-snapshot api-error postcopy ' +
      'postcopy-failed',
  ),
  resumed: ['unpaused', 'migrated', 'from-snapshot', 'postcopy'],
  stopped: ['shutdown', 'destroyed', 'crashed', 'migrated', 'saved', 'failed', 'from-snapshot'],
  shutdown: ['finished', 'guest', 'host'],
  pmsuspended: ['memory', 'disk'],
  crashed: ['panicked', 'crashloaded'],
};

const BLOCK_JOB_TYPES = ['unknown', 'pull', 'copy', 'commit', 'active-commit', 'backup'] as const;
export type BlockJobType = (typeof BLOCK_JOB_TYPES)[number];

const BLOCK_JOB_STATUSES = ['completed', 'failed', 'canceled', 'ready'] as const;
export type BlockJobStatus = (typeof BLOCK_JOB_STATUSES)[number] | 'unknown';

const IO_ERROR_ACTIONS = ['none', 'pause', 'report'] as const;
export type IoErrorAction = (typeof IO_ERROR_ACTIONS)[number] | 'unknown';

const WATCHDOG_ACTIONS = [
  'none',
  'pause',
  'reset',
  'poweroff',
  'shutdown',
  'debug',
  'inject-nmi',
] as const;
export type WatchdogAction = (typeof WATCHDOG_ACTIONS)[number] | 'unknown';

const AGENT_STATES = ['unknown', 'connected', 'disconnected'] as const;
export type AgentState = (typeof AGENT_STATES)[number];

/** virDomainMemoryStatTags, in order. All but the faults and last-update are in KiB. */
const MEMORY_STATS = words(
  'swap-in swap-out major-fault minor-fault unused available actual-balloon rss ' +
    'usable last-update disk-caches hugetlb-allocated hugetlb-failed',
);

export const domainState = (state: number): DomainState => STATES[state] ?? 'unknown';
export const stateReason = (state: DomainState, reason: number): string =>
  STATE_REASONS[state]?.[reason] ?? 'unknown';
export const lifecycle = (event: number): Lifecycle => LIFECYCLES[event] ?? 'unknown';
export const lifecycleDetail = (event: Lifecycle, detail: number): string =>
  LIFECYCLE_DETAILS[event]?.[detail] ?? 'unknown';
export const blockJobType = (type: number): BlockJobType => BLOCK_JOB_TYPES[type] ?? 'unknown';
export const blockJobStatus = (status: number): BlockJobStatus | 'unknown' =>
  BLOCK_JOB_STATUSES[status] ?? 'unknown';
export const ioErrorAction = (action: number): IoErrorAction =>
  IO_ERROR_ACTIONS[action] ?? 'unknown';
export const watchdogAction = (action: number): WatchdogAction =>
  WATCHDOG_ACTIONS[action] ?? 'unknown';
export const agentState = (state: number): AgentState => AGENT_STATES[state] ?? 'unknown';
export const memoryStat = (tag: number): string => MEMORY_STATS[tag] ?? `tag-${tag}`;

function words(line: string): readonly string[] {
  return line.split(' ');
}
