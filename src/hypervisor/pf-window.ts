/**
 * The PF's registers of one VF: those that the VF's own window shows (vf-hardware 5.5), and no others. Through the PF, heads
 * can be written while the queue is off, which the VF itself cannot.
 */
import type { PfBar } from '../hardware/nic/pf-bar.js';
import { VF_WINDOW } from '../hardware/nic/registers.js';

/** A register that is not this VF's. */
export class ForeignRegisterError extends Error {
  constructor(vf: number, offset: number) {
    super(
      `PF register 0x${offset.toString(16)} is not one of VF ${vf}'s: only what the VF's own BAR shows can be had`,
    );
    this.name = 'ForeignRegisterError';
  }
}

/** 32-bit registers of one BAR. */
export interface RegisterWindow {
  read32(offset: number): number;
  write32(offset: number, value: number): void;
}

export function openPfWindow(bar: PfBar, vf: number): RegisterWindow {
  const offsets = new Set<number>();
  for (const block of VF_WINDOW) {
    for (let i = 0; i < block.count; i++) offsets.add(block.pfOffset(vf, i));
  }
  const check = (offset: number): void => {
    if (!offsets.has(offset)) throw new ForeignRegisterError(vf, offset);
  };
  return {
    read32(offset) {
      check(offset);
      return bar.read32(0, offset);
    },
    write32(offset, value) {
      check(offset);
      bar.write32(0, offset, value);
    },
  };
}
