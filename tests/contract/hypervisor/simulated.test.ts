// The simulated hypervisor keeps what the port promises, as the real one does.
import { conformance } from './conformance.ts';
import { SimLab } from './sim-lab.ts';

conformance('simulated hypervisor', async () => new SimLab());
