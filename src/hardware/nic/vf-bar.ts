/**
 * A VF's BARs as the thread that accesses them sees them: BAR0, a window onto the PF's register image, and BAR3, the MSI-X
 * table. A guest's MMIO is one call of these: two or three typed-array loads, a switch, one atomic access.
 */
import type { Clock } from '../clock.js';
import type { MsiSink } from '../pci/msi.js';
import { readMsixBar, writeMsixBar } from './msix.js';
import { VF_BAR0_BYTES } from './offsets.js';
import { RegisterFile } from './register-file.js';
import { READ, type RegisterMap, vfRegisterMap, WRITE } from './registers.js';
import { MAX_VFS, type NicShared } from './shared.js';

/** A VF number that the card does not have. */
export class NoSuchVfError extends RangeError {
  constructor(vf: number, vfCount: number) {
    super(`no VF ${vf}: this card has VFs 0 to ${vfCount - 1}`);
    this.name = 'NoSuchVfError';
  }
}

export class VfBar {
  readonly vf: number;
  private readonly shared: NicShared;
  private readonly words: Int32Array;
  private readonly msi: MsiSink;
  private readonly file: RegisterFile;
  private readonly readIds: Uint8Array;
  private readonly writeIds: Uint8Array;
  private readonly wordOf: Int32Array;
  private readonly masks: Int32Array;
  private readonly units: Uint8Array;

  constructor(shared: NicShared, vf: number, msi: MsiSink, clock: Clock) {
    if (!Number.isInteger(vf) || vf < 0 || vf >= Math.min(shared.handle.vfCount, MAX_VFS)) {
      throw new NoSuchVfError(vf, shared.handle.vfCount);
    }
    const map: RegisterMap = vfRegisterMap(vf);
    this.vf = vf;
    this.shared = shared;
    this.words = shared.words;
    this.msi = msi;
    this.file = new RegisterFile(shared, msi, clock, 'vf');
    this.readIds = map.read;
    this.writeIds = map.write;
    this.wordOf = map.word;
    this.masks = map.mask;
    this.units = map.unit;
  }

  /** Reads 32 bits; unaligned, reserved and absent places read 0. */
  read32(bar: number, offset: number): number {
    if ((offset & 3) !== 0 || offset < 0 || offset >= VF_BAR0_BYTES) return 0;
    const entry = offset >> 2;
    if (bar === 0) {
      const handler = this.readIds[entry]!;
      const word = this.wordOf[entry]!;
      if (handler === READ.plain) return Atomics.load(this.words, word) >>> 0;
      return this.file.read(handler, word, this.units[entry]!);
    }
    return bar === 3 ? readMsixBar(this.shared, this.vf, offset) : 0;
  }

  /** Writes 32 bits; unaligned, reserved and absent places ignore it. */
  write32(bar: number, offset: number, value: number): void {
    if ((offset & 3) !== 0 || offset < 0 || offset >= VF_BAR0_BYTES) return;
    const entry = offset >> 2;
    if (bar === 0) {
      const handler = this.writeIds[entry]!;
      const word = this.wordOf[entry]!;
      const mask = this.masks[entry]!;
      if (handler === WRITE.tail) {
        Atomics.store(this.words, word, value & mask);
        this.shared.ring();
        return;
      }
      this.file.write(handler, word, mask, this.units[entry]!, value | 0);
      return;
    }
    if (bar === 3) writeMsixBar(this.shared, this.msi, this.vf, offset, value | 0);
  }
}
