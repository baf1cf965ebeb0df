/**
 * What travels in front of a packet between driver and device: which checksum is still missing, and how a large segment
 * is to be cut. Little-endian, 12 bytes.
 */
import { type Bytes, bytesOf } from '../hardware/bytes.js';
import { fold, sumOf } from '../hardware/nic/offload.js';
import { NET_FLAG, NET_GSO, NET_HEADER, NET_HEADER_BYTES } from './spec.js';

export class NetHeader {
  readonly bytes: Bytes = bytesOf(new Uint8Array(NET_HEADER_BYTES));
  readonly #view = this.bytes.view;

  clear(): void {
    this.bytes.u8.fill(0);
  }

  get needsChecksum(): boolean {
    return (this.#view.getUint8(NET_HEADER.flags) & NET_FLAG.needsChecksum) !== 0;
  }

  /** Where the checksum begins, from the frame's first byte, and where in what it covers its field is. */
  get checksumStart(): number {
    return this.#view.getUint16(NET_HEADER.checksumStart, true);
  }

  get checksumOffset(): number {
    return this.#view.getUint16(NET_HEADER.checksumOffset, true);
  }

  /** Of a frame whose checksum was verified on the way. */
  setVerified(): void {
    this.clear();
    this.flags = NET_FLAG.dataValid;
  }

  /** To be cut into frames. */
  get isSegmented(): boolean {
    return this.#view.getUint8(NET_HEADER.gsoType) !== NET_GSO.none;
  }

  get gsoType(): number {
    return this.#view.getUint8(NET_HEADER.gsoType);
  }

  get segmentBytes(): number {
    return this.#view.getUint16(NET_HEADER.gsoBytes, true);
  }

  set flags(value: number) {
    this.#view.setUint8(NET_HEADER.flags, value);
  }

  set buffers(count: number) {
    this.#view.setUint16(NET_HEADER.buffers, count, true);
  }

  copyFrom(other: NetHeader): void {
    this.bytes.u8.set(other.bytes.u8);
  }

  /** Puts the missing checksum into the frame. False: it would lie outside. */
  completeChecksum(frame: Bytes, offset: number, length: number): boolean {
    const start = this.checksumStart;
    const field = start + this.checksumOffset;
    if (field + 2 > length) return false;
    // the field holds the pseudo-header's sum already
    const sum = ~fold(sumOf(frame.view, offset + start, length - start)) & 0xffff;
    frame.view.setUint16(offset + field, sum === 0 ? 0xffff : sum);
    this.flags = 0;
    return true;
  }
}
