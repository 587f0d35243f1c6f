// The real driver, on a libvirtd of its own, keeps what the port promises.
import { conformance } from './conformance.ts';
import { LibvirtLab } from './libvirt-lab.ts';

conformance('hypervisor over libvirt', () => LibvirtLab.open());
