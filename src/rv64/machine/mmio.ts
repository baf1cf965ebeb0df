/**
 * Memory-mapped devices, and registers as tables.
 */
import type { Range } from './memory-map.js';

/** Something that answers in a range of addresses. Values are unsigned; size is 1, 2 or 4. */
export interface MmioDevice {
  readonly range: Range;
  read(offset: number, size: number): number;
  write(offset: number, size: number, value: number): void;
}

/** One register, or a block of equal ones. What is not given reads 0 and ignores writes. */
export interface Register {
  readonly name: string;
  readonly offset: number;
  /** How many, one behind the other. */
  readonly count?: number;
  read?(index: number): number;
  write?(value: number, index: number): void;
}

/** Registers of equal width by offset. */
export class RegisterBlock {
  readonly #stride: number;
  readonly #byOffset = new Map<number, { register: Register; index: number }>();

  /** @param stride bytes from one register to the next */
  constructor(stride: number, registers: readonly Register[]) {
    this.#stride = stride;
    for (const register of registers) {
      for (let index = 0; index < (register.count ?? 1); index++) {
        this.#byOffset.set(register.offset + index * stride, { register, index });
      }
    }
  }

  read(offset: number): number {
    const found = this.#byOffset.get(offset - (offset % this.#stride));
    return (found?.register.read?.(found.index) ?? 0) >>> 0;
  }

  write(offset: number, value: number): void {
    const found = this.#byOffset.get(offset - (offset % this.#stride));
    found?.register.write?.(value >>> 0, found.index);
  }
}
