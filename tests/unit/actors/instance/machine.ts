// An instance with one NIC and one disk, brought to a phase: for tests of its transitions.
import { instance } from '../../../../actors/instance/instance.ts';
import type {
  InstanceMessage,
  InstanceState,
  Observed,
} from '../../../../actors/instance/state.ts';
import { stepper } from '../random-walk.ts';

type Of<K extends InstanceMessage['kind']> = Extract<InstanceMessage, { kind: K }>;

export const CREATE: Of<'create'> = {
  kind: 'create',
  name: 'vm',
  namespace: 'ns',
  cpus: 1,
  memoryMiB: 512,
  video: { model: 'cirrus', memoryKiB: 16_384, vdi: 'vnc' },
  videoSpec: {},
  sshKey: null,
  userData: null,
  configDrive: 'openstack-disk',
  uefi: false,
  secureBoot: false,
  nvramTemplate: null,
  sideChannels: [],
  requestedNode: null,
  seed: 'c2VlZA==',
  disks: [
    {
      spec: {},
      sizeGiB: 8,
      bus: 'virtio',
      media: 'disk',
      artifactId: 'a',
      blobId: null,
      transcodeId: null,
      isReady: false,
    },
  ],
  nics: [
    {
      interfaceId: 'nic',
      networkId: 'net',
      order: 0,
      model: 'virtio',
      requested: 'auto',
      requestedMac: null,
      phase: 'none',
      mac: null,
      ipv4: null,
    },
  ],
  metadata: {},
};

export const ON: Observed = {
  power: 'on',
  offReason: null,
  consolePort: 1,
  vdiPort: 2,
  vdiTlsPort: null,
  accelerator: 'tcg',
};

export function interfaceIs(phase: Of<'interface-changed'>['phase']): Of<'interface-changed'> {
  return {
    kind: 'interface-changed',
    interfaceId: 'nic',
    phase,
    mac: '02:00:00:00:00:01',
    ipv4: '10.0.0.2',
    failure: null,
  };
}

export function seen(
  { generation }: Pick<InstanceState, 'generation'>,
  observed: Observed,
): Of<'domain-observed'> {
  return { kind: 'domain-observed', generation, observed, builtDisks: null };
}

export const made = () => stepper(instance).send(CREATE);

/** Everything it needs is there. */
export function building() {
  const blob = { blobId: 'b', phase: 'created', failure: null, virtualSizeBytes: 1 } as const;
  return made()
    .send(interfaceIs('initial'))
    .send({ kind: 'placed', node: 'n1', stages: [] })
    .send({ kind: 'preflight-started' })
    .send(interfaceIs('created'))
    .send({ kind: 'artifact-changed', artifactId: 'a', blobId: 'b', failure: null })
    .send({ kind: 'blob-changed', ...blob });
}

/** Running. */
export function up() {
  const vm = building();
  return vm.send(seen(vm.state, ON));
}
