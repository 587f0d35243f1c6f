// Procedures on one domain: its definition, its life, its devices.
// Layouts: remote_protocol of libvirt 9.0.
import { remote } from './procedure.ts';
import { domain, nullableText, text, uuid } from './wire.ts';
import { bool, i32, list, safeInteger, struct, u32, u64 } from './xdr.ts';

const MEMORY_STATS_MAX = 1024;

const domainOnly = struct({ domain });
const domainFlags = struct({ domain, flags: u32 });
const domainXmlFlags = struct({ domain, xml: text, flags: u32 });

export const domainProcedures = {
  domainDefineXmlFlags: remote(
    'domain_define_xml_flags',
    350,
    struct({ xml: text, flags: u32 }),
    domainOnly,
  ),
  domainUndefineFlags: remote('domain_undefine_flags', 231, domainFlags),
  domainLookupByUuid: remote('domain_lookup_by_uuid', 24, struct({ uuid }), domainOnly),
  domainLookupByName: remote('domain_lookup_by_name', 23, struct({ name: text }), domainOnly),
  domainGetXmlDesc: remote('domain_get_xml_desc', 14, domainFlags, struct({ xml: text })),
  domainGetState: remote('domain_get_state', 212, domainFlags, struct({ state: i32, reason: i32 })),
  domainGetInfo: remote(
    'domain_get_info',
    16,
    domainOnly,
    struct({
      state: u32,
      maxMemoryKiB: safeInteger,
      memoryKiB: safeInteger,
      vcpus: u32,
      cpuTimeNs: u64,
    }),
  ),
  domainMemoryStats: remote(
    'domain_memory_stats',
    159,
    struct({ domain, maxStats: u32, flags: u32 }),
    struct({ stats: list(struct({ tag: i32, value: u64 }), MEMORY_STATS_MAX) }),
  ),
  domainCreateWithFlags: remote('domain_create_with_flags', 196, domainFlags, domainOnly),
  domainDestroyFlags: remote('domain_destroy_flags', 234, domainFlags),
  domainShutdownFlags: remote('domain_shutdown_flags', 258, domainFlags),
  domainReboot: remote('domain_reboot', 27, domainFlags),
  domainReset: remote('domain_reset', 245, domainFlags),
  domainSuspend: remote('domain_suspend', 34, domainOnly),
  domainResume: remote('domain_resume', 28, domainOnly),
  domainSetAutostart: remote('domain_set_autostart', 29, struct({ domain, autostart: bool })),
  domainSetMetadata: remote(
    'domain_set_metadata',
    264,
    struct({
      domain,
      type: i32,
      metadata: nullableText,
      key: nullableText,
      uri: nullableText,
      flags: u32,
    }),
  ),
  domainAttachDeviceFlags: remote('domain_attach_device_flags', 160, domainXmlFlags),
  domainDetachDeviceFlags: remote('domain_detach_device_flags', 161, domainXmlFlags),
  domainUpdateDeviceFlags: remote('domain_update_device_flags', 174, domainXmlFlags),
} as const;
