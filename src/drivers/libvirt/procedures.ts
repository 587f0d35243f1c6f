// Every procedure that this client can call. Each row is pinned against a real libvirtd by
// tests/contract/libvirt/procedures.test.ts, which fails for a row without a pin.
import { backupProcedures } from './procedures-backup.ts';
import { blockProcedures } from './procedures-block.ts';
import { domainProcedures } from './procedures-domain.ts';
import { guestProcedures } from './procedures-guest.ts';
import { hostProcedures } from './procedures-host.ts';

export const PROCEDURES = {
  ...hostProcedures,
  ...domainProcedures,
  ...blockProcedures,
  ...backupProcedures,
  ...guestProcedures,
} as const;
