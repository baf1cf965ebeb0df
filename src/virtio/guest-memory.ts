/**
 * Guest RAM as the backend reaches it. Two records are kept of every write, by two hands:
 *
 *   the ground truth   by the store itself (IommuDomain), always, for the verifier
 *   the dirty log      by what knows why it writes (queue, port), while logging is on, for the migration
 *
 * The order is: the bytes, then the mark.
 */
import type { Bytes } from '../hardware/bytes.js';
import { FAULT, IommuDomain } from '../hardware/iommu/domain.js';
import { PAGE_SHIFT } from '../hardware/units.js';
import type { VirtioNetHandle } from './device-words.js';

/** The guest's rings or buffers make no sense: the device stops until it is reset. */
export class BrokenRingError extends Error {
  override readonly name = 'BrokenRingError';
}

export class GuestMemory {
  /** To be set at the beginning of each turn. */
  logging = false;
  readonly #domain: IommuDomain;
  readonly #log: Uint8Array;
  readonly #u16: Uint16Array;

  constructor(handle: Pick<VirtioNetHandle, 'domain' | 'log'>) {
    this.#domain = new IommuDomain(handle.domain);
    this.#log = new Uint8Array(handle.log);
    this.#u16 = new Uint16Array(handle.domain.memory, 0, handle.domain.memory.byteLength >>> 1);
  }

  /** What copyBytes can read from. */
  get bytes(): Bytes {
    return this.#domain;
  }

  /** Where `bytes` bytes of guest RAM lie. @throws BrokenRingError */
  place(low: number, high: number, bytes: number, write: boolean, what: string): number {
    const offset = this.#domain.translate(low, high, bytes, write);
    if (offset === FAULT) {
      const address = (high >>> 0) * 2 ** 32 + (low >>> 0);
      throw new BrokenRingError(`${what}: ${bytes} bytes at 0x${address.toString(16)} are not guest RAM`);
    }
    return offset;
  }

  u32(offset: number): number {
    return this.#domain.view.getUint32(offset, true);
  }

  u16(offset: number): number {
    return this.#domain.view.getUint16(offset, true);
  }

  /** An index that the other side publishes; `offset` even. Everything it wrote before is seen afterwards. */
  loadIndex(offset: number): number {
    return Atomics.load(this.#u16, offset >>> 1);
  }

  /** Publishes an index; everything written before is seen by whoever sees it. */
  storeIndex(offset: number, value: number): void {
    Atomics.store(this.#u16, offset >>> 1, value);
    this.#domain.markWritten(offset, 2);
  }

  writeWord(offset: number, value: number): void {
    this.#domain.writeWord(offset, value);
  }

  write(offset: number, from: Bytes, fromOffset: number, length: number): void {
    this.#domain.write(offset, from, fromOffset, length);
  }

  /** Marks what was just written. */
  log(offset: number, bytes: number): void {
    if (!this.logging || bytes === 0) return;
    const last = (offset + bytes - 1) >>> PAGE_SHIFT;
    for (let page = offset >>> PAGE_SHIFT; page <= last; page++) this.#log[page] = 1;
  }
}
