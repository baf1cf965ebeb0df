/**
 * Accesses to a function's configuration space, with what they set off: messages that waited for bus mastering or for an
 * unmask, and the function-level reset.
 */
import type { Clock } from '../clock.js';
import { refire } from '../nic/interrupts.js';
import { messagesEnabled, sendPending } from '../nic/msix.js';
import { resetFunction } from '../nic/reset.js';
import { CONFIG_WORDS, type NicShared, REGION } from '../nic/shared.js';
import { writableConfigBits } from './config-image.js';
import type { MsiSink } from './msi.js';
import { PCI } from './offsets.js';

const FUNCTION_LEVEL_RESET = 1 << 15;

export class ConfigSpace {
  readonly functionNumber: number;
  private readonly shared: NicShared;
  private readonly msi: MsiSink;
  private readonly clock: Clock;
  private readonly first: number;
  private readonly writable: Int32Array;

  /** @param functionNumber 0..62 a VF, 63 the PF */
  constructor(shared: NicShared, functionNumber: number, msi: MsiSink, clock: Clock) {
    this.functionNumber = functionNumber;
    this.shared = shared;
    this.msi = msi;
    this.clock = clock;
    this.first = REGION.config + functionNumber * CONFIG_WORDS;
    this.writable = writableConfigBits(functionNumber);
  }

  /** Reads the dword that `offset` is in; beyond 4 KiB reads 0. */
  read32(offset: number): number {
    const index = offset >>> 2;
    return index < CONFIG_WORDS ? Atomics.load(this.shared.words, this.first + index) >>> 0 : 0;
  }

  /** Writes the dword that `offset` is in; bits that cannot be written keep their value. */
  write32(offset: number, value: number): void {
    const index = offset >>> 2;
    if (index >= CONFIG_WORDS) return;
    const { shared, msi, clock, functionNumber } = this;
    const words = shared.words;
    const mask = this.writable[index]!;
    const word = this.first + index;
    const couldSend = messagesEnabled(words, functionNumber);
    Atomics.store(words, word, (Atomics.load(words, word) & ~mask) | (value & mask));
    switch (index << 2) {
      case PCI.COMMAND:
        // DMA of this pool may start (or must stop)
        shared.ring();
        this.sendWhatWaited(couldSend);
        break;
      case PCI.MSIX:
        this.sendWhatWaited(couldSend);
        break;
      case PCI.PCIE_DEVCTL:
        if ((value & FUNCTION_LEVEL_RESET) !== 0 && resetFunction(shared, msi, clock, functionNumber))
          shared.ring();
        break;
    }
  }

  private sendWhatWaited(couldSend: boolean): void {
    const { shared, msi, clock, functionNumber } = this;
    sendPending(shared, msi, functionNumber);
    if (!couldSend && refire(shared, msi, clock, functionNumber)) shared.ring();
  }
}
