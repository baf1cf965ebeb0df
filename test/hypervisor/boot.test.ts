/** A guest boots, finds its VF, and answers on the network; the VM's whole lifecycle, in one process. */
import { afterEach, describe, expect, it } from 'vitest';
import { VirtualMachine } from '../../src/hypervisor/vm.js';
import type { VmState } from '../../src/hypervisor/vm-state.js';
import { VmStateError } from '../../src/hypervisor/vm-state.js';
import type { VcpuState } from '../../src/machine/vcpu-state.js';
import {
  type Cabled,
  cabledNic,
  echoImage,
  echoUntil,
  networkUp,
  threads,
  threadsEndedSince,
  threadsSince,
  until,
} from './lab.js';

const MAC = '52:54:00:00:00:01';

describe('a virtual machine with a VF', () => {
  const open: { destroy?(): Promise<void>; close?(): Promise<void> }[] = [];
  const keep = <T extends { destroy?(): Promise<void>; close?(): Promise<void> }>(thing: T): T => {
    open.push(thing);
    return thing;
  };
  afterEach(async () => {
    for (const thing of open.reverse()) await (thing.destroy?.() ?? thing.close?.());
    open.length = 0;
  });

  async function bootEcho(cabled: Cabled, ip = '10.0.0.2'): Promise<VirtualMachine> {
    const vm = keep(
      await VirtualMachine.create({
        name: 'echo',
        image: await echoImage(),
        commandLine: `ip=${ip}`,
        vfs: [{ nic: cabled.nic, assignment: { mac: MAC } }],
      }),
    );
    const up = networkUp(vm);
    vm.start();
    await up;
    return vm;
  }

  it('boots udp-echo, which answers over the wire', async () => {
    const cabled = keep(await cabledNic());
    const vm = await bootEcho(cabled);
    const report = await echoUntil(cabled.wire, '10.0.0.2', 100);
    expect(report.corrupt).toBe(0);
    expect(report.duplicates).toBe(0);
    const statistics = vm.vfs[0]!.view.statistics.read();
    expect(statistics.goodPacketsReceived).toBeGreaterThanOrEqual(100);
    expect(statistics.goodPacketsSent).toBeGreaterThanOrEqual(100);
    expect(vm.info().vfs[0]).toMatchObject({ mac: MAC, linkUp: true, dmaFaults: { reads: 0, writes: 0 } });
    // configuration space and MSI-X are exits; register accesses of a direct mapping are not
    expect(vm.info().exits).toMatchObject({ trappedRead: 0, trappedWrite: 0, turnWait: 0 });
    expect(vm.info().exits.configRead).toBeGreaterThan(0);
    expect(vm.info().exits.msixWrite).toBeGreaterThan(0);
    // the truth knows of DMA into guest RAM
    expect(new Uint8Array(vm.groundTruth[0]!).some((page) => page !== 0)).toBe(true);
  });

  it('finds its link again after the cable was pulled and plugged in', async () => {
    const cabled = keep(await cabledNic());
    const vm = await bootEcho(cabled);
    const lines: string[] = [];
    vm.subscribe((event) => {
      if (event.kind === 'console') lines.push(event.line);
    });
    await cabled.wire.close();
    await until('the guest to see it', () => lines.some((line) => line.includes('link down')));
    const again = keep(cabled.plugIn());
    await until('the guest to see it', () => lines.some((line) => line.includes('link up')));
    await echoUntil(again, '10.0.0.2', 20);
  });

  it('pauses, switches builds and goes on without its peer losing the guest', async () => {
    const cabled = keep(await cabledNic());
    const vm = await bootEcho(cabled);
    await vm.pause();
    expect(vm.state.kind).toBe('paused');
    const saved = vm.saveVmState();
    expect((saved.vcpu as VcpuState).frames.length).toBeGreaterThan(0);
    vm.resume();
    await vm.setDirtyLogging(true);
    expect(vm.info().build).toBe('logging');
    await echoUntil(cabled.wire, '10.0.0.2', 20);
    const marks = new Uint8Array(vm.layout.ramPages);
    expect(vm.openDirtyLog().harvest(marks)).toBeGreaterThan(0);
    await vm.setDirtyLogging(false);
    await echoUntil(cabled.wire, '10.0.0.2', 20);
  });

  it('takes a guest over from another VM of the same image, without its device', async () => {
    const image = await echoImage();
    const source = keep(await VirtualMachine.create({ name: 'a', image, commandLine: 'ip=10.0.0.7' }));
    source.start();
    await source.pause();
    const target = keep(await VirtualMachine.create({ name: 'b', image, incoming: true }));
    const { ramBytes } = image;
    new Uint8Array(target.memory.buffer, 0, ramBytes).set(new Uint8Array(source.memory.buffer, 0, ramBytes));
    expect(() => target.resume()).toThrow(VmStateError);
    target.restoreVmState(structuredClone(source.saveVmState()));
    expect(target.state.kind).toBe('paused');
    target.resume();
    await target.pause();
    const commandLineOf = (vm: VirtualMachine) => (vm.saveVmState().vcpu as VcpuState).commandLine;
    expect(commandLineOf(target)).toEqual(commandLineOf(source));
  });

  it('refuses what its state does not allow, and names both', async () => {
    const vm = keep(await VirtualMachine.create({ name: 'a', image: await echoImage() }));
    expect(() => vm.resume()).toThrow("VM 'a' is created, so it cannot resume");
    expect(() => vm.saveVmState()).toThrow(VmStateError);
    await expect(vm.pause()).rejects.toThrow(VmStateError);
    vm.start();
    expect(() => vm.start()).toThrow('is running');
    expect(() => vm.restoreVmState({})).toThrow(VmStateError);
    await vm.destroy();
    await vm.destroy();
    expect(() => vm.memory).toThrow('is destroyed');
  });

  it('refuses a saved state that is none', async () => {
    const vm = keep(await VirtualMachine.create({ name: 'b', image: await echoImage(), incoming: true }));
    for (const bad of [null, 7, {}, { version: 1 }, { version: 2 }, { version: 2, vcpu: { version: 1 } }]) {
      expect(() => vm.restoreVmState(bad)).toThrow();
    }
    expect(vm.state.kind).toBe('incoming');
  });

  it('leaves no thread and no VF behind when it is destroyed', async () => {
    const cabled = keep(await cabledNic());
    const before = threads();
    const free = cabled.nic.freeVfs;
    const vm = await bootEcho(cabled);
    const states: VmState['kind'][] = [];
    vm.subscribe((event) => {
      if (event.kind === 'state') states.push(event.state.kind);
    });
    expect(threadsSince(before)).toBeGreaterThan(0);
    expect(cabled.nic.freeVfs).toBe(free - 1);
    await vm.destroy();
    expect(states).toEqual(['destroyed']);
    await threadsEndedSince(before);
    expect(cabled.nic.freeVfs).toBe(free);
    // the VF can be given to the next VM, which finds it as new
    await bootEcho(cabled);
    await echoUntil(cabled.wire, '10.0.0.2', 10);
  });
});
