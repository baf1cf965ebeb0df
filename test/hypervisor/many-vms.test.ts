/** Sixty VMs of 16 MiB in one process, a VF each, and nothing left of them afterwards. */
import { expect, it } from 'vitest';
import { Nic } from '../../src/hypervisor/nic.js';
import { VirtualMachine } from '../../src/hypervisor/vm.js';
import { echoImage, threads, threadsEndedSince, until } from './lab.js';

const VMS = 60;

it('boots sixty VMs with a VF each, and ends them', async () => {
  const image = await echoImage();
  const nic = await Nic.open({ wire: 'null' });
  const threadsBefore = threads();
  const vms: VirtualMachine[] = [];
  let found = 0;
  try {
    for (let i = 0; i < VMS; i++) {
      const vm = await VirtualMachine.create({
        name: `vm${i}`,
        image,
        commandLine: `ip=10.0.0.${i + 1}`,
        vfs: [{ nic }],
        onEvent: (event) => {
          if (event.kind === 'console' && event.line.includes('address')) found++;
        },
      });
      vms.push(vm);
      vm.start();
    }
    await until('sixty drivers', () => found === VMS, 240_000);
    expect(vms.every((vm) => vm.state.kind === 'running')).toBe(true);
    expect(nic.freeVfs).toBe(nic.handle.vfCount - VMS);
    const macs = new Set(vms.map((vm) => vm.info().vfs[0]!.mac));
    expect(macs.size).toBe(VMS);
  } finally {
    await Promise.all(vms.map((vm) => vm.destroy()));
  }
  await threadsEndedSince(threadsBefore);
  expect(nic.freeVfs).toBe(nic.handle.vfCount);
  await nic.close();
}, 400_000);
