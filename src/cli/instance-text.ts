// Instances in the words that people read.
import type { View } from '../client/client.ts';
import { fields, metadataText, table, text, views, type Column } from './table.ts';

export const INSTANCE_COLUMNS: readonly Column<View>[] = [
  ['NAME', (one) => text(one, 'name')],
  ['UUID', (one) => text(one, 'uuid')],
  ['NAMESPACE', (one) => text(one, 'namespace')],
  ['CPUS', (one) => text(one, 'cpus')],
  ['MIB', (one) => text(one, 'memory')],
  ['NODE', (one) => text(one, 'node')],
  ['POWER', (one) => text(one, 'power_state')],
  ['STATE', (one) => text(one, 'state')],
  ['ADDRESSES', (one) => views(one, 'interfaces').map(addressText).join(' ')],
];

const DISK_COLUMNS: readonly Column<View>[] = [
  ['DEVICE', (disk) => text(disk, 'device')],
  ['BUS', (disk) => text(disk, 'bus')],
  ['GIB', (disk) => text(disk, 'size')],
  ['BLOB', (disk) => text(disk, 'blob_uuid')],
];

const SPEC_COLUMNS: readonly Column<View>[] = [
  ['TYPE', (spec) => text(spec, 'type') || 'disk'],
  ['BUS', (spec) => text(spec, 'bus')],
  ['GIB', (spec) => text(spec, 'size')],
  ['BASE', (spec) => text(spec, 'base')],
];

const INTERFACE_COLUMNS: readonly Column<View>[] = [
  ['ADDRESS', (one) => text(one, 'ipv4')],
  ['FLOATING', (one) => text(one, 'floating')],
  ['MAC', (one) => text(one, 'macaddr')],
  ['MODEL', (one) => text(one, 'model')],
  ['NETWORK', (one) => text(one, 'network_uuid')],
  ['STATE', (one) => text(one, 'state')],
];

export function instanceText(one: View): string {
  const built = views(one, 'disks');
  const disks =
    built.length > 0 ? table(built, DISK_COLUMNS) : table(views(one, 'disk_spec'), SPEC_COLUMNS);
  const interfaces = views(one, 'interfaces');
  const parts = [
    summary(one),
    `disks${built.length > 0 ? '' : ' (as asked for)'}\n${indented(disks)}`,
    interfaces.length > 0 ? `interfaces\n${indented(table(interfaces, INTERFACE_COLUMNS))}` : '',
  ];
  return parts.filter((part) => part !== '').join('\n');
}

function summary(one: View): string {
  const firmware = one['secure_boot'] === true ? 'UEFI, secure boot' : 'UEFI';
  return fields([
    ['name', text(one, 'name')],
    ['uuid', text(one, 'uuid')],
    ['namespace', text(one, 'namespace')],
    ['state', text(one, 'state')],
    ['error', text(one, 'error_message')],
    ['power', text(one, 'power_state')],
    ['node', text(one, 'node')],
    ['cpus', text(one, 'cpus')],
    ['memory', `${text(one, 'memory')} MiB`],
    ['firmware', one['uefi'] === true ? firmware : 'BIOS'],
    ['console port', text(one, 'console_port')],
    ['graphics', graphics(one)],
    ['agent', text(one, 'agent_state')],
    ['side channels', sideChannels(one)],
    ['config drive', text(one, 'configdrive')],
    ['ssh key', text(one, 'ssh_key').trim()],
    ['user data', userData(one)],
    ['metadata', metadataText(one)],
  ]);
}

function graphics(one: View): string {
  const video = (one['video'] ?? {}) as View;
  const port = text(one, 'vdi_port');
  const where = port === '' ? '' : `, port ${port}`;
  return `${text(video, 'vdi')} (${text(video, 'model')}, ${text(video, 'memory')} KiB)${where}`;
}

function sideChannels(one: View): string {
  const channels = one['side_channels'];
  return Array.isArray(channels) ? channels.join(', ') : '';
}

function userData(one: View): string {
  const encoded = text(one, 'user_data');
  return encoded === '' ? '' : `${Buffer.from(encoded, 'base64').length} bytes`;
}

function addressText(one: View): string {
  const floating = text(one, 'floating');
  return `${text(one, 'ipv4') || 'none'}${floating === '' ? '' : `(${floating})`}`;
}

function indented(block: string): string {
  return block.replaceAll(/^/gm, '  ').trimEnd() + '\n';
}
