/** What plugins are handed of a passed-through VF: enough, and nothing more. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { queueOf, RX, rxQueueOffset, VF } from '../../src/hardware/nic/offsets.js';
import type { PassedThroughVf } from '../../src/hypervisor/passthrough.js';
import { openPassthrough } from '../../src/hypervisor/passthrough-core.js';
import { VirtualMachine } from '../../src/hypervisor/vm.js';
import { CTRL } from '../../src/machine/layout.js';
import { controlWords } from '../../src/machine/memory.js';
import type { DeviceParts } from '../../src/plugin/device-access.js';
import { type Cabled, cabledNic, echoImage, echoUntil, networkUp, until } from './lab.js';

const REG_RDH = VF.RX + RX.RDH;
const REG_RDT = VF.RX + RX.RDT;

describe('a passed-through VF', () => {
  let cabled: Cabled;
  let vm: VirtualMachine;
  let passed: PassedThroughVf;

  beforeEach(async () => {
    cabled = await cabledNic();
    vm = await VirtualMachine.create({
      name: 'echo',
      image: await echoImage(),
      commandLine: 'ip=10.0.0.2',
      vfs: [{ nic: cabled.nic, assignment: { mac: '52:54:00:00:00:01' } }],
      iommuDirtyBits: true,
    });
    const up = networkUp(vm);
    vm.start();
    await up;
    passed = vm.vfs[0]!;
  });
  afterEach(async () => {
    await vm.destroy();
    await cabled.close();
  });

  it('is what the plugin API asks for', () => {
    const parts: DeviceParts = passed.view;
    expect(parts.pages.count).toBe(4);
    // neither the truth nor the card's words can be reached by name
    const names = JSON.stringify(Object.keys(passed.view));
    expect(names).not.toMatch(/truth|shared|domain|nic/i);
  });

  it('shows the same registers through the VF, the PF and another thread’s view', async () => {
    await vm.pause();
    const { view } = passed;
    const other = openPassthrough(structuredClone(passed.handle));
    const tail = view.bar0.read32(REG_RDT);
    const pfTail = rxQueueOffset(queueOf(view.vf, 0)) + RX.RDT;
    expect(tail).toBeGreaterThan(0);
    expect(view.pf.read32(pfTail)).toBe(tail);
    expect(other.bar0.read32(REG_RDT)).toBe(tail);
    expect(other.pf.read32(pfTail)).toBe(tail);
    expect(other.ram.bytes).toBe(vm.layout.ramBytes);
    expect(other.ram.i32[1000]).toBe(view.ram.i32[1000]);
  });

  it('gives of the PF only what is this VF’s', () => {
    const { pf } = passed.view;
    expect(() => pf.read32(rxQueueOffset(queueOf(1, 0)) + RX.RDT)).toThrow('VF 0');
    expect(() => pf.write32(0x51e0, 0)).toThrow('0x51e0');
  });

  it('serves the guest through trapped and shadow pages while it talks', async () => {
    const { pages, bar0 } = passed.view;
    pages.map(1, 'trapped');
    pages.map(2, 'trapped');
    await echoUntil(cabled.wire, '10.0.0.2', 30);
    const { exits } = vm.info();
    expect(exits.trappedWrite).toBeGreaterThan(0);
    // a relay of the Rx page by hand: what a shadow tracker's core does
    const shadow = pages.shadow(1);
    const words = [REG_RDH, REG_RDT, REG_RDT + 0x40].map((offset) => offset & 0xfff);
    pages.map(1, 'shadow', () => {
      for (let i = 0; i < 1024; i++) shadow[i] = bar0.read32(0x1000 + 4 * i);
    });
    pages.map(2, 'direct');
    const relay = setInterval(() => {
      pages.turnStarted();
      for (const offset of words.slice(1)) {
        const tail = Atomics.load(shadow, offset >> 2);
        if (bar0.read32(0x1000 + offset) !== tail) bar0.write32(0x1000 + offset, tail);
      }
      pages.turnEnded();
    }, 1);
    try {
      await echoUntil(cabled.wire, '10.0.0.2', 300);
      // the guest gives its last buffers back after it has answered
      const tail = (REG_RDT & 0xfff) >> 2;
      await until('the last tail is relayed', () => bar0.read32(REG_RDT) === Atomics.load(shadow, tail));
    } finally {
      clearInterval(relay);
    }
    pages.map(1, 'direct', () => bar0.write32(REG_RDT, shadow[(REG_RDT & 0xfff) >> 2]!));
    await echoUntil(cabled.wire, '10.0.0.2', 30);
  });

  it('raises interrupts through the guest’s own MSI-X table', async () => {
    await vm.pause();
    const control = controlWords(vm.memory, vm.layout);
    Atomics.store(control, CTRL.irqPending, 0);
    passed.view.raiseInterrupt(0);
    expect(Atomics.load(control, CTRL.irqPending)).toBe(1 << (passed.view.bar3.read32(8) & 31));
    expect(() => passed.view.raiseInterrupt(3)).toThrow(RangeError);
  });

  it('has scratch pages that the VF reaches and that are no guest RAM', () => {
    const { scratch, ram } = passed.view;
    expect(scratch.iova).toBeGreaterThanOrEqual(ram.bytes);
    expect(scratch.i32.byteLength).toBe(scratch.bytes);
    const range = passed.domain.ranges.find((each) => each.iovaStart === scratch.iova);
    expect(range?.bytes).toBe(scratch.bytes);
  });

  it('collects the IOMMU’s dirty bits where the host has them', async () => {
    const { iommuDirty } = passed.view;
    const marked: number[] = [];
    const marks = { mark: (page: number) => void marked.push(page), pages: 0, markRange() {}, markAll() {} };
    iommuDirty!.setEnabled(true);
    await echoUntil(cabled.wire, '10.0.0.2', 10);
    const pages = iommuDirty!.collect(marks);
    expect(pages).toBeGreaterThan(0);
    expect(marked).toHaveLength(pages);
    iommuDirty!.setEnabled(false);
    iommuDirty!.collect(marks);
    await echoUntil(cabled.wire, '10.0.0.2', 10);
    expect(iommuDirty!.collect(marks)).toBe(0);
  });

  it('exports a policy that another card takes over', async () => {
    await vm.pause();
    const policy = structuredClone(passed.view.policy.export());
    expect(policy).toMatchObject({
      mac: '52:54:00:00:00:01',
      macFixed: true,
      clearToSend: true,
      apiVersion: 5,
    });
    const other = await cabledNic();
    try {
      const target = await VirtualMachine.create({
        name: 'target',
        image: vm.image,
        vfs: [{ nic: other.nic }],
        incoming: true,
      });
      target.vfs[0]!.view.policy.import(policy);
      expect(target.vfs[0]!.view.policy.export()).toEqual(policy);
      await target.destroy();
    } finally {
      await other.close();
    }
  });
});
