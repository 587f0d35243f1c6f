// Procedures that reach into a running domain: console, screen, guest agent, monitor.
// Layouts: remote_protocol and qemu_protocol of libvirt 9.0.
import { qemu, remote } from './procedure.ts';
import { domain, nullableText, text } from './wire.ts';
import { i32, list, struct, u32 } from './xdr.ts';

const MOUNT_POINTS_MAX = 256;

const freezeArguments = struct({ domain, mountPoints: list(text, MOUNT_POINTS_MAX), flags: u32 });
const filesystems = struct({ filesystems: i32 });

export const guestProcedures = {
  /** Its reply is followed by a stream in both directions. */
  domainOpenConsole: remote(
    'domain_open_console',
    201,
    struct({ domain, device: nullableText, flags: u32 }),
  ),
  /** Its reply is followed by a stream that the daemon ends. */
  domainScreenshot: remote(
    'domain_screenshot',
    211,
    struct({ domain, screen: u32, flags: u32 }),
    struct({ mime: nullableText }),
  ),
  domainFsfreeze: remote('domain_fsfreeze', 335, freezeArguments, filesystems),
  domainFsthaw: remote('domain_fsthaw', 336, freezeArguments, filesystems),
  domainAgentCommand: qemu(
    'domain_agent_command',
    3,
    struct({ domain, command: text, timeoutS: i32, flags: u32 }),
    struct({ result: nullableText }),
  ),
  domainMonitorCommand: qemu(
    'domain_monitor_command',
    1,
    struct({ domain, command: text, flags: u32 }),
    struct({ result: text }),
  ),
} as const;
