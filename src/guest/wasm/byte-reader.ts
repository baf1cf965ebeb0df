/**
 * Reads a WebAssembly binary: bytes, LEB128 numbers, vectors. Every read is bounded; running off the end or an
 * overlong number is a GuestImageError, never a silent wrap.
 */
import { GuestImageError } from '../guest-image-error.js';

export class ByteReader {
  readonly bytes: Uint8Array;
  /** Next byte to read, from the start of `bytes`. */
  at: number;
  readonly end: number;

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  get done(): boolean {
    return this.at >= this.end;
  }

  byte(): number {
    if (this.at >= this.end) throw this.malformed('the data ends too early');
    return this.bytes[this.at++];
  }

  u32(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) {
        if (value > 0xffffffff) break;
        return value;
      }
    }
    throw this.malformed('a number does not fit 32 bits');
  }

  /** Signed LEB128 of up to 33 bits (block types, i32 constants), as a JS number. */
  s33(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return byte & 0x40 ? value - 2 ** (shift + 7) : value;
    }
    throw this.malformed('a signed number does not fit 33 bits');
  }

  skipS64(): void {
    for (let i = 0; i < 10; i++) if (this.byte() < 0x80) return;
    throw this.malformed('a signed number does not fit 64 bits');
  }

  skip(count: number): void {
    if (count > this.end - this.at) throw this.malformed('the data ends too early');
    this.at += count;
  }

  /** A view, not a copy. */
  take(count: number): Uint8Array {
    const from = this.at;
    this.skip(count);
    return this.bytes.subarray(from, this.at);
  }

  name(): string {
    return new TextDecoder('utf-8', { fatal: false }).decode(this.take(this.u32()));
  }

  /** Reads a count, then that many items. A count larger than the bytes left cannot be true, so it allocates nothing. */
  vector<T>(item: (reader: ByteReader) => T): T[] {
    const count = this.u32();
    if (count > this.end - this.at)
      throw this.malformed(`a list claims ${count} items, more than the bytes left`);
    const items: T[] = [];
    for (let i = 0; i < count; i++) items.push(item(this));
    return items;
  }

  malformed(what: string): GuestImageError {
    return new GuestImageError(
      'malformed',
      `the image's WebAssembly is malformed at byte ${this.at}: ${what}`,
    );
  }
}
