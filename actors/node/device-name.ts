// What a disk is called in the guest (contract: instances 3.1, device naming).

const PREFIX = { virtio: 'vd', sata: 'sd', scsi: 'sd', usb: 'sd', nvme: 'nvme' } as const;

/** The name at a position, shared across buses: `vda`, `sdc`, `nvme1`. */
export function deviceName(bus: keyof typeof PREFIX, position: number): string {
  const suffix = bus === 'nvme' ? String(position) : String.fromCharCode(97 + position);
  return `${PREFIX[bus]}${suffix}`;
}
