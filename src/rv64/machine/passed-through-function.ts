/**
 * A function of the hypervisor's (a passed-through VF, a paravirtual NIC) on the guest's bus: the same configuration words,
 * BARs and MSI-X table that every other guest has.
 */
import { PCI } from '../../hardware/pci/offsets.js';
import type { GuestBus } from '../../machine/guest-bus.js';
import type { PciBar, PciFunction } from './pci-function.js';

const FUNCTION_LEVEL_RESET = 1 << 15;
const BAR_BYTES = 0x4000;

export class PassedThroughFunction implements PciFunction {
  readonly bars: readonly PciBar[] = [
    { index: 0, bytes: BAR_BYTES },
    { index: 3, bytes: BAR_BYTES },
  ];
  readonly #bus: GuestBus;
  readonly #slot: number;

  constructor(bus: GuestBus, slot: number) {
    this.#bus = bus;
    this.#slot = slot;
  }

  reset(): void {
    this.configWrite(PCI.PCIE_DEVCTL, FUNCTION_LEVEL_RESET);
  }

  configRead(offset: number): number {
    return this.#bus.pciRead(this.#slot, offset);
  }

  configWrite(offset: number, value: number): void {
    this.#bus.pciWrite(this.#slot, offset, value);
  }

  barRead(bar: number, offset: number, size: number): number {
    const word = this.#bus.barRead(this.#slot, bar, offset & ~3);
    return size === 4 ? word : (word >>> (8 * (offset & 3))) & (2 ** (8 * size) - 1);
  }

  barWrite(bar: number, offset: number, size: number, value: number): void {
    this.#bus.barWrite(this.#slot, bar, offset, value, size);
  }
}
