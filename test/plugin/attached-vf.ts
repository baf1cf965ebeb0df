/** A VF of a card without a cable, attached to memory in which no guest runs: what a plugin's host needs of a VM. */
import { realThreads } from '../../src/hypervisor/host-threads.js';
import { Hotplug } from '../../src/hypervisor/hotplug.js';
import { Nic } from '../../src/hypervisor/nic.js';
import { PassedThroughVf } from '../../src/hypervisor/passthrough.js';
import { CONTROL_WORDS, layoutFor } from '../../src/machine/layout.js';

const RAM_BYTES = 16 * 1024 * 1024;

export async function attachVf(iommuDirtyBits: boolean): Promise<{ nic: Nic; device: PassedThroughVf }> {
  const nic = await Nic.open({ wire: 'null', vfCount: 1 });
  const layout = layoutFor(RAM_BYTES);
  const memory = new SharedArrayBuffer(layout.totalBytes);
  const vf = nic.allocateVf();
  const control = new Int32Array(memory, layout.controlOffset, CONTROL_WORDS);
  const device = new PassedThroughVf({
    nic,
    vf,
    slot: 1,
    memory,
    layout,
    scratchPage: 0,
    scratchPages: 4,
    iommuDirtyBits,
    messages: { kind: 'vm', memory, controlOffset: layout.controlOffset },
    hotplug: new Hotplug({ ...realThreads, control }, true),
  });
  await device.attach();
  return { nic, device };
}
