import type { VfBar } from '../../../src/hardware/nic/vf-bar.js';

/** Reads BAR0. */
export const at32 = (bar: VfBar, offset: number): number => bar.read32(0, offset);
