/** The paravirtual NIC as a PCI function: capabilities, BARs, resets, and messages that wait. */
import { describe, expect, it } from 'vitest';
import { MSIX_ENABLE, MSIX_FUNCTION_MASK, MSIX_PBA_OFFSET, PCI } from '../../src/hardware/pci/offsets.js';
import { FUNCTION_LEVEL_RESET, MSIX_BAR } from '../../src/virtio/config-image.js';
import { WORD } from '../../src/virtio/device-words.js';
import { raiseVector } from '../../src/virtio/msix.js';
import { NetFunction } from '../../src/virtio/net-function.js';
import { CAPABILITY, ISR } from '../../src/virtio/spec.js';
import { BenchGuest, COMMON, frameTo, MAC_A, MAC_B } from './bench-device.js';

describe('the function', () => {
  it('is found by its capabilities', () => {
    const { function: target } = new BenchGuest();
    expect(target.configRead(PCI.ID)).toBe(0x1041_1af4);
    const found = new Map<number, { bar: number; offset: number; bytes: number }>();
    let at = target.configRead(PCI.CAPABILITIES) & 0xff;
    const ids: number[] = [];
    for (; at !== 0 && ids.length < 16; at = (target.configRead(at) >>> 8) & 0xff) {
      const head = target.configRead(at);
      ids.push(head & 0xff);
      if ((head & 0xff) !== 9) continue;
      found.set(head >>> 24, {
        bar: target.configRead(at + 4) & 0xff,
        offset: target.configRead(at + 8),
        bytes: target.configRead(at + 12),
      });
    }
    expect(ids).toEqual([9, 9, 9, 0x11, 9, 0x10]);
    expect([...found.keys()].sort()).toEqual(Object.values(CAPABILITY).sort());
    for (const { bar, offset, bytes } of found.values()) {
      expect(bar).toBe(0);
      expect(offset + bytes).toBeLessThanOrEqual(0x4000);
    }
  });

  it('has BARs of 16 KiB, and lets nothing else be written', () => {
    const { function: target } = new BenchGuest();
    for (const bar of [0, MSIX_BAR]) {
      target.configWrite(PCI.BAR0 + 4 * bar, 0xffff_ffff);
      expect(target.configRead(PCI.BAR0 + 4 * bar)).toBe(0xffff_c004);
    }
    target.configWrite(PCI.ID, 0);
    expect(target.configRead(PCI.ID)).toBe(0x1041_1af4);
    expect(target.configRead(0x100)).toBe(0);
    target.configWrite(0x1000, 1);
    expect(target.barRead(0, 0x4000)).toBe(0);
    expect(target.barRead(2, 0)).toBe(0);
    expect(target.barWrite(0, 0x4000, 1, 4)).toBe('none');
    expect(target.barWrite(1, 0, 1, 4)).toBe('none');
  });

  it('is as new after a function-level reset', () => {
    const guest = new BenchGuest().bringUp();
    guest.function.configWrite(PCI.PCIE_DEVCTL, FUNCTION_LEVEL_RESET);
    expect(guest.status).toBe(0);
    expect(guest.function.configRead(PCI.COMMAND) & 6).toBe(0);
    expect(guest.function.configRead(PCI.MSIX) & MSIX_ENABLE).toBe(0);
    expect(guest.function.barRead(MSIX_BAR, 12)).toBe(1);
    expect(guest.port.enter()).toBe(false);
  });

  it('is off the bus only when the turn that was under way is over', () => {
    const guest = new BenchGuest().bringUp();
    const order: string[] = [];
    const target = new NetFunction(guest.handle, guest.msi, () => {
      order.push('waited');
      guest.port.leave();
    });
    guest.send(frameTo(MAC_B, MAC_A, 46));
    expect(guest.port.enter()).toBe(true);
    target.configWrite(PCI.COMMAND, 2);
    order.push('off');
    expect(order).toEqual(['waited', 'off']);
    expect(guest.port.enter()).toBe(false);
  });

  it('clears the interrupt status when it is read', () => {
    const guest = new BenchGuest().bringUp();
    guest.words.set(WORD.isr, ISR.queue | ISR.config);
    expect(guest.function.barRead(0, 0x1000)).toBe(3);
    expect(guest.function.barRead(0, 0x1000)).toBe(0);
  });

  it.each([
    ['vector', (guest: BenchGuest, on: boolean) => guest.function.barWrite(MSIX_BAR, 16 + 12, on ? 1 : 0, 4)],
    [
      'function',
      (guest: BenchGuest, on: boolean) =>
        guest.function.configWrite(PCI.MSIX, MSIX_ENABLE | (on ? MSIX_FUNCTION_MASK : 0)),
    ],
    ['bus', (guest: BenchGuest, on: boolean) => guest.function.configWrite(PCI.COMMAND, on ? 2 : 6)],
  ])('keeps a message while the %s is masked, and sends it once afterwards', (_, mask) => {
    const guest = new BenchGuest().bringUp();
    mask(guest, true);
    raiseVector(guest.words, guest.msi, 1);
    raiseVector(guest.words, guest.msi, 1);
    expect(guest.msi.take()).toEqual([]);
    expect(guest.function.barRead(MSIX_BAR, MSIX_PBA_OFFSET)).toBe(2);
    mask(guest, false);
    expect(guest.msi.take()).toEqual([1]);
    expect(guest.function.barRead(MSIX_BAR, MSIX_PBA_OFFSET)).toBe(0);
  });

  it('sends nothing for a queue without a vector', () => {
    const guest = new BenchGuest().bringUp();
    guest.write(COMMON.queueSelect, 0, 2);
    guest.write(COMMON.queueVector, 0xffff, 2);
    guest.port.deliver({ u8: guest.u8, view: guest.view, shared: true, skew: 0 }, 0, 60, null);
    guest.port.leave();
    expect(guest.msi.take()).toEqual([]);
    expect(guest.received()).toHaveLength(1);
  });
});
