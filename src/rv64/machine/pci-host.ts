/**
 * The PCIe host bridge: configuration space by address (ECAM), and the windows that lead to the functions' BARs.
 *
 *   ECAM  bus 0 | device 5 bits | function 3 bits | register 12 bits
 *   window: bus addresses [64-bit BAR value, its size) while the function's memory decoding is on
 */
import { PCI } from '../../hardware/pci/offsets.js';
import { type BusWindow, MAP, type Range } from './memory-map.js';
import type { MmioDevice } from './mmio.js';
import type { PciFunction } from './pci-function.js';

const NOTHING = 0xffff_ffff;
const DEVICE_SHIFT = 15;
const REGISTER_MASK = 0xfff;
const COMMAND_MEMORY = 1 << 1;
const BAR_FLAGS = 0xf;
/** Devices of bus 0; each has function 0 only. */
export const PCI_DEVICES = 32;

interface Window extends Range {
  readonly target: PciFunction;
  readonly bar: number;
}

const maskOf = (size: number): number => (size === 4 ? NOTHING : 2 ** (8 * size) - 1);

export class PciHost {
  readonly #functions: (PciFunction | undefined)[] = new Array(PCI_DEVICES);
  #windows: Window[] = [];
  /** Configuration space, and both windows, for the bus. */
  readonly devices: readonly MmioDevice[];

  constructor(functions: ReadonlyMap<number, PciFunction>) {
    for (const [device, target] of functions) {
      if (!(device >= 0 && device < PCI_DEVICES) || this.#functions[device] !== undefined) {
        throw new RangeError(`PCI device ${device}: 0 to ${PCI_DEVICES - 1}, one function each`);
      }
      this.#functions[device] = target;
    }
    const ecam: MmioDevice = {
      range: MAP.ecam,
      read: (offset, size) => this.#configRead(offset, size),
      write: (offset, size, value) => this.#configWrite(offset, size, value),
    };
    const windowAt = (range: BusWindow): MmioDevice => ({
      range,
      read: (offset, size) => this.#barRead(range.busBase + offset, size),
      write: (offset, size, value) => this.#barWrite(range.busBase + offset, size, value),
    });
    this.devices = [ecam, windowAt(MAP.pci32), windowAt(MAP.pci64)];
  }

  /** To be called when BARs or command words changed behind the bridge's back. */
  refresh(): void {
    this.#windows = [];
    for (const target of this.#functions) {
      if (target === undefined || (target.configRead(PCI.COMMAND) & COMMAND_MEMORY) === 0) continue;
      for (const { index, bytes } of target.bars) {
        const at = PCI.BAR0 + 4 * index;
        const low = (target.configRead(at) & ~BAR_FLAGS) >>> 0;
        const base = target.configRead(at + 4) * 2 ** 32 + low;
        if (base !== 0) this.#windows.push({ base, bytes, target, bar: index });
      }
    }
  }

  #configRead(offset: number, size: number): number {
    const register = offset & REGISTER_MASK;
    const target = this.#functionAt(offset);
    if (target === undefined) return maskOf(size);
    const dword = target.configRead(register & ~3);
    return ((dword >>> (8 * (register & 3))) & maskOf(size)) >>> 0;
  }

  #configWrite(offset: number, size: number, value: number): void {
    const register = offset & REGISTER_MASK;
    const target = this.#functionAt(offset);
    if (target === undefined) return;
    const at = register & ~3;
    target.configWrite(at, size === 4 ? value : narrow(target.configRead(at), register, size, value));
    if (at === PCI.COMMAND || (at >= PCI.BAR0 && at < PCI.BAR0 + 24)) this.refresh();
  }

  #functionAt(offset: number): PciFunction | undefined {
    if (((offset >> 12) & 7) !== 0) return undefined;
    return this.#functions[offset >> DEVICE_SHIFT];
  }

  #barRead(address: number, size: number): number {
    const window = this.#windowAt(address);
    return window === null ? maskOf(size) : window.target.barRead(window.bar, address - window.base, size);
  }

  #barWrite(address: number, size: number, value: number): void {
    const window = this.#windowAt(address);
    window?.target.barWrite(window.bar, address - window.base, size, value);
  }

  #windowAt(address: number): Window | null {
    for (const window of this.#windows) {
      if (address >= window.base && address < window.base + window.bytes) return window;
    }
    return null;
  }
}

/** Dwords whose upper half is a status that ones clear: a write of the lower half must not write them back. */
const STATUS_ABOVE: readonly number[] = [PCI.COMMAND, PCI.PCIE_DEVCTL];

/** A narrow write as one of the whole dword. */
function narrow(dword: number, register: number, size: number, value: number): number {
  const shift = 8 * (register & 3);
  const mask = (maskOf(size) << shift) >>> 0;
  const isLower = shift < 16 && STATUS_ABOVE.includes(register & ~3);
  const kept = (isLower ? dword & 0xffff : dword) & ~mask;
  return (kept | ((value << shift) & mask)) >>> 0;
}
