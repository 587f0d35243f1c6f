// Procedures about the connection and the host below it. Layouts: remote_protocol of libvirt 9.0.
import { remote } from './procedure.ts';
import { DOMAIN_LIST_MAX, domain, nullableText, text, typedParams } from './wire.ts';
import { bool, i32, list, nothing, optional, safeInteger, struct, u32 } from './xdr.ts';

const STATS_PARAMS_MAX = 262_144;
const CPU_MODELS_MAX = 8192;
const MEMORY_STATS_MAX = 16;

/** XDR has a word for each character of this fixed array. */
const modelName = struct(
  Object.fromEntries(Array.from({ length: 32 }, (_, index) => [`c${index}`, i32])),
);

const nodeInfo = struct({
  model: modelName,
  memoryKiB: safeInteger,
  cpus: i32,
  mhz: i32,
  numaNodes: i32,
  sockets: i32,
  cores: i32,
  threads: i32,
});

export const hostProcedures = {
  connectOpen: remote('connect_open', 1, struct({ uri: nullableText, flags: u32 })),
  connectClose: remote('connect_close', 2, nothing),
  authList: remote('auth_list', 66, nothing, struct({ types: list(i32, 20) })),
  connectSupportsFeature: remote(
    'connect_supports_feature',
    60,
    struct({ feature: i32 }),
    struct({ supported: bool }),
  ),
  connectGetType: remote('connect_get_type', 3, nothing, struct({ type: text })),
  connectGetVersion: remote('connect_get_version', 4, nothing, struct({ version: safeInteger })),
  connectGetLibVersion: remote(
    'connect_get_lib_version',
    157,
    nothing,
    struct({ version: safeInteger }),
  ),
  connectGetHostname: remote('connect_get_hostname', 59, nothing, struct({ hostname: text })),
  connectGetCapabilities: remote('connect_get_capabilities', 7, nothing, struct({ xml: text })),
  connectGetDomainCapabilities: remote(
    'connect_get_domain_capabilities',
    342,
    struct({
      emulator: nullableText,
      arch: nullableText,
      machine: nullableText,
      type: nullableText,
      flags: u32,
    }),
    struct({ xml: text }),
  ),
  connectGetCpuModelNames: remote(
    'connect_get_cpu_model_names',
    312,
    struct({ arch: text, needResults: bool, flags: u32 }),
    struct({ models: list(text, CPU_MODELS_MAX), count: i32 }),
  ),
  nodeGetInfo: remote('node_get_info', 6, nothing, nodeInfo),
  nodeGetMemoryStats: remote(
    'node_get_memory_stats',
    228,
    struct({ maxStats: i32, cell: i32, flags: u32 }),
    struct({
      stats: list(struct({ field: text, valueKiB: safeInteger }), MEMORY_STATS_MAX),
      count: i32,
    }),
  ),
  connectListAllDomains: remote(
    'connect_list_all_domains',
    273,
    struct({ needResults: bool, flags: u32 }),
    struct({ domains: list(domain, DOMAIN_LIST_MAX), count: u32 }),
  ),
  connectGetAllDomainStats: remote(
    'connect_get_all_domain_stats',
    344,
    struct({ domains: list(domain, DOMAIN_LIST_MAX), groups: u32, flags: u32 }),
    struct({
      records: list(struct({ domain, params: typedParams(STATS_PARAMS_MAX) }), DOMAIN_LIST_MAX),
    }),
  ),
  connectDomainEventCallbackRegisterAny: remote(
    'connect_domain_event_callback_register_any',
    316,
    struct({ eventId: i32, domain: optional(domain) }),
    struct({ callbackId: i32 }),
  ),
  connectDomainEventCallbackDeregisterAny: remote(
    'connect_domain_event_callback_deregister_any',
    317,
    struct({ callbackId: i32 }),
  ),
} as const;
