/**
 * The hart's interrupt file as seen on the bus: one page with one register that sets an identity pending. What is pending
 * and enabled is the hart's affair (its siselect registers).
 */
import { IMSIC_IDS, MAP } from './memory-map.js';
import type { MmioDevice } from './mmio.js';

const SETEIPNUM_LE = 0;

export class ImsicPage implements MmioDevice {
  readonly range = MAP.imsic;
  readonly #raise: (identity: number) => void;

  constructor(raise: (identity: number) => void) {
    this.#raise = raise;
  }

  read(): number {
    return 0;
  }

  write(offset: number, size: number, value: number): void {
    if (offset === SETEIPNUM_LE && size === 4 && value >= 1 && value <= IMSIC_IDS) this.#raise(value);
  }
}
