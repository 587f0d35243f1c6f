// What the instances of this machine use, as libvirt counts it since each guest's start: read when it is scraped.
import type { MetricName } from './catalog.ts';
import type { Family, Sample } from './exposition.ts';

export interface NamedUsage {
  readonly namespace: string;
  readonly name: string;
  readonly usage: GuestUsage;
}

/** The part of a guest's usage that is shown (src/drivers/hypervisor/usage.ts). */
export interface GuestUsage {
  readonly instanceId: string;
  readonly cpu: { readonly totalNs: number };
  /** Null: not known. */
  readonly residentBytes: number | null;
  readonly disks: readonly {
    readonly device: string;
    readonly readBytes: number;
    readonly writeBytes: number;
    readonly readRequests: number;
    readonly writeRequests: number;
    readonly usedBytes: number;
  }[];
  readonly nics: readonly {
    readonly mac: string;
    readonly read: { readonly bytes: number; readonly packets: number };
    readonly write: { readonly bytes: number; readonly packets: number };
  }[];
}

type Disk = GuestUsage['disks'][number];
type Nic = GuestUsage['nics'][number];

const DISK: Partial<Record<MetricName, (disk: Disk) => number>> = {
  troupe_instance_disk_read_bytes: ({ readBytes }) => readBytes,
  troupe_instance_disk_written_bytes: ({ writeBytes }) => writeBytes,
  troupe_instance_disk_reads: ({ readRequests }) => readRequests,
  troupe_instance_disk_writes: ({ writeRequests }) => writeRequests,
  troupe_instance_disk_used_bytes: ({ usedBytes }) => usedBytes,
};
const NIC: Partial<Record<MetricName, (nic: Nic) => number>> = {
  troupe_instance_network_received_bytes: ({ read }) => read.bytes,
  troupe_instance_network_sent_bytes: ({ write }) => write.bytes,
  troupe_instance_network_received_packets: ({ read }) => read.packets,
  troupe_instance_network_sent_packets: ({ write }) => write.packets,
};

export function instanceFamilies(guests: readonly NamedUsage[]): Family[] {
  const each = (samplesOf: (guest: NamedUsage, labels: readonly string[]) => Sample[]) =>
    guests.flatMap((guest) =>
      samplesOf(guest, [guest.usage.instanceId, guest.namespace, guest.name]),
    );
  return [
    {
      name: 'troupe_instance_cpu_seconds',
      samples: each(({ usage }, labels) => [{ labels, value: usage.cpu.totalNs / 1e9 }]),
    },
    {
      name: 'troupe_instance_resident_memory_bytes',
      samples: each(({ usage: { residentBytes: value } }, labels) =>
        value === null ? [] : [{ labels, value }],
      ),
    },
    ...parts(DISK).map(([name, valueOf]) => ({
      name,
      samples: each(({ usage }, labels) =>
        usage.disks.map((disk) => ({ labels: [...labels, disk.device], value: valueOf(disk) })),
      ),
    })),
    ...parts(NIC).map(([name, valueOf]) => ({
      name,
      samples: each(({ usage }, labels) =>
        usage.nics.map((nic) => ({ labels: [...labels, nic.mac], value: valueOf(nic) })),
      ),
    })),
  ];
}

function parts<V>(table: Partial<Record<MetricName, V>>): [MetricName, V][] {
  return Object.entries(table) as [MetricName, V][];
}
