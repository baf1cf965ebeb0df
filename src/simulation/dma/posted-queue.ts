/**
 * What a device posted and memory has not taken yet: chunks and messages, first in, first out. The bytes are copied when
 * they are posted (the frame's buffer is used again at once) into a buffer that grows.
 *
 *   keep(bytes), add(chunk of them), add(...) -> | chunk | chunk | message | chunk | -> landFirst(n)
 */
import { type Bytes, bytesOf, copyBytes } from '../../hardware/bytes.js';

/** No target offset is negative: this marks a message's place in the order. */
const MESSAGE = -1;
const FIRST_CHUNKS = 256;
const FIRST_BYTES = 64 * 1024;

export class PostedQueue {
  #targets = new Int32Array(FIRST_CHUNKS);
  #lengths = new Int32Array(FIRST_CHUNKS);
  #starts = new Int32Array(FIRST_CHUNKS);
  #dueNs = new Float64Array(FIRST_CHUNKS);
  /** Entries lie at [head, tail) modulo the arrays' length, a power of two. */
  #head = 0;
  #tail = 0;
  #bytes = bytesOf(new Uint8Array(FIRST_BYTES));
  #bytesEnd = 0;
  #nextStart = 0;
  readonly #messages: (() => void)[] = [];
  #pendingBytes = 0;

  get size(): number {
    return this.#tail - this.#head;
  }

  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Copies bytes in; the chunks that are added next are theirs, in order. */
  keep(from: Bytes, offset: number, length: number): void {
    if (this.size === 0) this.#bytesEnd = 0;
    if (this.#bytesEnd + length > this.#bytes.u8.length) this.#moveBytes(length);
    copyBytes(from, offset, this.#bytes, this.#bytesEnd, length);
    this.#nextStart = this.#bytesEnd;
    this.#bytesEnd += length;
  }

  /** Adds the next `length` bytes of what was kept, that will lie at `target`. */
  add(target: number, length: number, dueNs: number): void {
    this.#push(target, length, dueNs);
    this.#nextStart += length;
    this.#pendingBytes += length;
  }

  /** Adds what happens once everything before it has landed. */
  addMessage(deliver: () => void, dueNs: number): void {
    this.#push(MESSAGE, 0, dueNs);
    this.#messages.push(deliver);
  }

  /** When the entry so many places behind the first may land; Infinity where there is none. */
  dueAt(index: number): number {
    if (index >= this.size) return Number.POSITIVE_INFINITY;
    return this.#dueNs[(this.#head + index) & (this.#targets.length - 1)]!;
  }

  /**
   * Puts the first entries into `memory`, in order: bytes land, messages are delivered.
   * @param landed told where bytes were put, after they are there
   */
  land(entries: number, memory: Bytes, landed: (target: number, length: number) => void): void {
    // a message's receiver may come back here: what it lands or posts is looked at anew
    for (let left = entries; left > 0 && this.size > 0; ) {
      const mask = this.#targets.length - 1;
      const at = this.#head & mask;
      const target = this.#targets[at]!;
      if (target === MESSAGE) {
        this.#head++;
        left--;
        this.#messages.shift()!();
        continue;
      }
      // neighbours go in one copy
      let length = 0;
      const start = this.#starts[at]!;
      do {
        length += this.#lengths[this.#head++ & mask]!;
        left--;
      } while (
        left > 0 &&
        this.size > 0 &&
        this.#follows(this.#head & mask, target + length, start + length)
      );
      this.#pendingBytes -= length;
      copyBytes(this.#bytes, start, memory, target, length);
      landed(target, length);
    }
  }

  /** How many entries must land so that none is left that overlaps these bytes; 0 if none does. */
  entriesOver(offset: number, bytes: number): number {
    const mask = this.#targets.length - 1;
    for (let entry = this.#tail - 1; entry >= this.#head; entry--) {
      const target = this.#targets[entry & mask]!;
      if (target === MESSAGE) continue;
      if (target < offset + bytes && offset < target + this.#lengths[entry & mask]!) {
        return entry - this.#head + 1;
      }
    }
    return 0;
  }

  /** Forgets everything: the machine is gone. */
  clear(): void {
    this.#head = this.#tail;
    this.#bytesEnd = 0;
    this.#pendingBytes = 0;
    this.#messages.length = 0;
  }

  #follows(at: number, target: number, start: number): boolean {
    return this.#targets[at] === target && this.#starts[at] === start;
  }

  #push(target: number, length: number, dueNs: number): void {
    if (this.size === this.#targets.length) this.#growEntries();
    const at = this.#tail++ & (this.#targets.length - 1);
    this.#targets[at] = target;
    this.#lengths[at] = length;
    this.#starts[at] = this.#nextStart;
    this.#dueNs[at] = dueNs;
  }

  #growEntries(): void {
    const from = this.#targets.length;
    const grow = <T extends Int32Array | Float64Array>(old: T, bigger: T): T => {
      for (let i = 0; i < from; i++) bigger[i] = old[(this.#head + i) & (from - 1)]!;
      return bigger;
    };
    this.#targets = grow(this.#targets, new Int32Array(2 * from));
    this.#lengths = grow(this.#lengths, new Int32Array(2 * from));
    this.#starts = grow(this.#starts, new Int32Array(2 * from));
    this.#dueNs = grow(this.#dueNs, new Float64Array(2 * from));
    this.#head = 0;
    this.#tail = from;
  }

  /** What is pending moves to the front; if that is not enough, to a larger buffer. */
  #moveBytes(length: number): void {
    const mask = this.#targets.length - 1;
    const start = this.#bytesEnd - this.#pendingBytes;
    const old = this.#bytes.u8;
    let bytes = old.length;
    while (this.#pendingBytes + length > bytes) bytes *= 2;
    if (bytes === old.length) {
      old.copyWithin(0, start, this.#bytesEnd);
    } else {
      this.#bytes = bytesOf(new Uint8Array(bytes));
      this.#bytes.u8.set(old.subarray(start, this.#bytesEnd));
    }
    for (let entry = this.#head; entry < this.#tail; entry++) {
      this.#starts[entry & mask] = this.#starts[entry & mask]! - start;
    }
    this.#bytesEnd = this.#pendingBytes;
  }
}
