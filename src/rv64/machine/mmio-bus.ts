/**
 * Address decoding outside RAM: which device answers. A 64-bit access is two of 32 bits, the low half first.
 */
import type { MmioDevice } from './mmio.js';

export class MmioBus {
  readonly #devices: readonly MmioDevice[];
  #last: MmioDevice;

  constructor(devices: readonly MmioDevice[]) {
    this.#devices = devices;
    this.#last = devices[0]!;
  }

  /** null: nothing answers there. */
  find(address: number): MmioDevice | null {
    const last = this.#last.range;
    if (address >= last.base && address < last.base + last.bytes) return this.#last;
    for (const device of this.#devices) {
      const { base, bytes } = device.range;
      if (address < base || address >= base + bytes) continue;
      this.#last = device;
      return device;
    }
    return null;
  }
}
