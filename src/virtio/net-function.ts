/**
 * The device as its guest's accesses meet it, in the vCPU's thread. No access crosses a thread: registers are shared words,
 * and a notification is a doorbell that wakes the backend.
 */
import type { WordWait } from '../hardware/clock.js';
import type { MsiSink } from '../hardware/pci/msi.js';
import { PCI } from '../hardware/pci/offsets.js';
import { readCommon, resetFunction, writeCommon } from './common-registers.js';
import { FUNCTION_LEVEL_RESET, MSIX_BAR, writableBits } from './config-image.js';
import { CONFIG_DWORDS, DeviceWords, ringBell, STAT, type VirtioNetHandle, WORD } from './device-words.js';
import { readMsix, sendPending, writeMsix } from './msix.js';
import { AREA, BAR0_BYTES, STATUS } from './spec.js';

/** What a write of a guest was, for its accounting. */
export type NetWrite = 'register' | 'notify' | 'msix' | 'none';

export class NetFunction {
  readonly #words: DeviceWords;
  readonly #msi: MsiSink;

  constructor(handle: VirtioNetHandle, msi: MsiSink, wait?: WordWait) {
    this.#words = new DeviceWords(handle, wait);
    this.#msi = msi;
  }

  configRead(offset: number): number {
    const dword = offset >>> 2;
    return dword < CONFIG_DWORDS ? this.#words.get(WORD.config + dword) : 0;
  }

  configWrite(offset: number, value: number): void {
    const dword = offset >>> 2;
    if (dword >= CONFIG_DWORDS) return;
    const words = this.#words;
    if (dword << 2 === PCI.PCIE_DEVCTL && (value & FUNCTION_LEVEL_RESET) !== 0) {
      words.locked(() => resetFunction(words));
      return;
    }
    const mask = writableBits(dword);
    const word = WORD.config + dword;
    const write = (): void => words.set(word, (words.get(word) & ~mask) | (value & mask));
    // without bus mastering no turn may be under way any more: the guest may take back what the queues were given
    if (dword << 2 === PCI.COMMAND) words.locked(write);
    else write();
    if (dword << 2 === PCI.COMMAND || dword << 2 === PCI.MSIX) sendPending(words, this.#msi);
    // bus mastering came on: what waits in the queues can be served
    if (dword << 2 === PCI.COMMAND) ringBell(words.bell);
  }

  /** The dword that `offset` is in. */
  barRead(bar: number, offset: number): number {
    if (offset >= BAR0_BYTES) return 0;
    const at = offset & ~3;
    if (bar === MSIX_BAR) return readMsix(this.#words, at);
    if (bar !== 0 || at >= AREA.notify) return 0;
    if (at >= AREA.device) return this.#deviceConfig(at - AREA.device);
    if (at >= AREA.isr) return at === AREA.isr ? Atomics.exchange(this.#words.i32, WORD.isr, 0) : 0;
    return readCommon(this.#words, at);
  }

  /** @param bytes 1, 2 or 4 */
  barWrite(bar: number, offset: number, value: number, bytes: number): NetWrite {
    if (offset >= BAR0_BYTES) return 'none';
    if (bar === MSIX_BAR) {
      if (bytes === 4 && (offset & 3) === 0) writeMsix(this.#words, this.#msi, offset, value);
      return 'msix';
    }
    if (bar !== 0) return 'none';
    if (offset >= AREA.notify) {
      this.#notify();
      return 'notify';
    }
    if (offset < AREA.isr) writeCommon(this.#words, offset, bytes, value);
    return 'register';
  }

  #notify(): void {
    const words = this.#words;
    words.count(STAT.notifications);
    if ((words.get(WORD.status) & STATUS.driverOk) !== 0) ringBell(words.bell);
  }

  /** Address, link status, queue pairs (1), MTU. */
  #deviceConfig(offset: number): number {
    const words = this.#words;
    if (offset === 0) return words.get(WORD.macLow);
    if (offset === 4) return (words.get(WORD.macHigh) | (words.get(WORD.linkUp) << 16)) >>> 0;
    return offset === 8 ? (1 | (words.get(WORD.mtu) << 16)) >>> 0 : 0;
  }
}
