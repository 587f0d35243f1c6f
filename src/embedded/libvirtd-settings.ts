// The settings files of the embedded libvirtd. It trusts who can reach its socket, which is root;
// it touches no cgroup, no security driver and no owner of a file; QEMU writes its logs itself, so
// no virtlogd is needed.
import { join } from 'node:path';

/** Where QEMU finds the certificate of SPICE consoles (src/daemon/console-tls.ts), under the names that it expects. */
export function consoleTlsDirectory(dataDirectory: string): string {
  return join(dataDirectory, 'console-tls');
}

export function libvirtdSettings(hostUUID: string): string {
  return `listen_tls = 0
listen_tcp = 0
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_ro_perms = "0700"
unix_sock_rw_perms = "0700"
unix_sock_admin_perms = "0700"
# Not the mainboard's: several of us on one machine are several hosts to migration.
host_uuid = "${hostUUID}"
# The daemon sends all its calls over one connection, and a destroy takes a worker for a second.
max_client_requests = 64
max_workers = 32
log_level = 3
log_outputs = "3:stderr"
`;
}

/** TLS is offered by the domains that have a port for it, and only those need the certificate. */
export function qemuSettings(dataDirectory: string): string {
  return `security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
vnc_listen = "127.0.0.1"
spice_tls = 1
spice_tls_x509_cert_dir = "${consoleTlsDirectory(dataDirectory)}"
`;
}
