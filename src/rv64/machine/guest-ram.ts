/**
 * Guest RAM as a device of the machine itself reaches it (a virtio queue): by guest-physical address, with the pages that
 * it wrote marked in the vCPU's dirty log, since these writes are the VMM's own and pass no IOMMU.
 */
import type { DirtyMap } from '../../machine/dirty-map.js';
import { MAP } from './memory-map.js';

const PAGE_SHIFT = 12;

export class GuestRam {
  readonly bytes: number;
  readonly #view: DataView;
  readonly #content: Uint8Array;
  readonly #dirty: DirtyMap;

  constructor(buffer: ArrayBufferLike, ramBytes: number, dirty: DirtyMap) {
    this.bytes = ramBytes;
    this.#view = new DataView(buffer, 0, ramBytes);
    this.#content = new Uint8Array(buffer, 0, ramBytes);
    this.#dirty = dirty;
  }

  /** Whether all of it is RAM. */
  holds(address: number, length: number): boolean {
    const offset = address - MAP.ram.base;
    return offset >= 0 && length >= 0 && offset + length <= this.bytes;
  }

  u16(address: number): number {
    return this.#view.getUint16(address - MAP.ram.base, true);
  }

  u32(address: number): number {
    return this.#view.getUint32(address - MAP.ram.base, true);
  }

  /** An address or a length: more than 53 bits are more than there is. */
  u64(address: number): number {
    return Number(this.#view.getBigUint64(address - MAP.ram.base, true));
  }

  setU16(address: number, value: number): void {
    this.#view.setUint16(address - MAP.ram.base, value, true);
    this.#mark(address, 2);
  }

  setU32(address: number, value: number): void {
    this.#view.setUint32(address - MAP.ram.base, value, true);
    this.#mark(address, 4);
  }

  /** A copy. */
  read(address: number, length: number): Uint8Array {
    const offset = address - MAP.ram.base;
    return this.#content.slice(offset, offset + length);
  }

  write(address: number, content: Uint8Array): void {
    if (content.length === 0) return;
    this.#content.set(content, address - MAP.ram.base);
    this.#mark(address, content.length);
  }

  #mark(address: number, length: number): void {
    const offset = address - MAP.ram.base;
    const last = (offset + length - 1) >>> PAGE_SHIFT;
    for (let page = offset >>> PAGE_SHIFT; page <= last; page++) this.#dirty.mark(page as never);
  }
}
