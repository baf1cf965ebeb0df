/**
 * The PF's BARs: BAR0, the whole register image (128 KiB), and BAR4, its MSI-X table. What the PF driver, and a hypervisor
 * that looks at a VF from outside, access the card through.
 */
import type { Clock } from '../clock.js';
import type { MsiSink } from '../pci/msi.js';
import { PF_FUNCTION } from '../pci/offsets.js';
import { readMsixBar, writeMsixBar } from './msix.js';
import { RegisterFile } from './register-file.js';
import { pfRegisterMap, type RegisterMap } from './registers.js';
import { type NicShared, PF_BAR0_BYTES } from './shared.js';

export const PF_MSIX_BAR = 4;
export const PF_MSIX_BAR_BYTES = 0x4000;

export class PfBar {
  private readonly shared: NicShared;
  private readonly msi: MsiSink;
  private readonly file: RegisterFile;
  private readonly map: RegisterMap;

  constructor(shared: NicShared, msi: MsiSink, clock: Clock) {
    this.shared = shared;
    this.msi = msi;
    this.file = new RegisterFile(shared, msi, clock, 'pf');
    this.map = pfRegisterMap();
  }

  /** Reads 32 bits; unaligned, reserved and absent places read 0. */
  read32(bar: number, offset: number): number {
    if ((offset & 3) !== 0 || offset < 0) return 0;
    if (bar === 0 && offset < PF_BAR0_BYTES) {
      const entry = offset >> 2;
      return this.file.read(this.map.read[entry]!, this.map.word[entry]!, this.map.unit[entry]!);
    }
    if (bar === PF_MSIX_BAR && offset < PF_MSIX_BAR_BYTES)
      return readMsixBar(this.shared, PF_FUNCTION, offset);
    return 0;
  }

  /** Writes 32 bits; unaligned, reserved and absent places ignore it. */
  write32(bar: number, offset: number, value: number): void {
    if ((offset & 3) !== 0 || offset < 0) return;
    if (bar === 0 && offset < PF_BAR0_BYTES) {
      const { write, word, mask, unit } = this.map;
      const entry = offset >> 2;
      this.file.write(write[entry]!, word[entry]!, mask[entry]!, unit[entry]!, value | 0);
    } else if (bar === PF_MSIX_BAR && offset < PF_MSIX_BAR_BYTES) {
      writeMsixBar(this.shared, this.msi, PF_FUNCTION, offset, value | 0);
    }
  }
}
