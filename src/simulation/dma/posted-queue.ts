/**
 * What a device posted and memory has not taken yet: chunks and messages, first in, first out. The bytes are copied when
 * they are posted (the frame's buffer is used again at once) into a ring that grows.
 *
 *   write(target, bytes) -> | chunk | chunk | message | chunk | -> landFirst()
 */

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
  #bytes = new Uint8Array(FIRST_BYTES);
  #bytesEnd = 0;
  readonly #messages: (() => void)[] = [];
  #pendingBytes = 0;

  get size(): number {
    return this.#tail - this.#head;
  }

  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Adds a chunk of `length` bytes that will lie at `target`. */
  add(target: number, from: Uint8Array, offset: number, length: number, dueNs: number): void {
    this.#makeRoom(length);
    this.#bytes.set(from.subarray(offset, offset + length), this.#bytesEnd);
    this.#push(target, length, dueNs);
    this.#bytesEnd += length;
    this.#pendingBytes += length;
  }

  /** Adds what happens once everything before it has landed. */
  addMessage(deliver: () => void, dueNs: number): void {
    this.#makeRoom(0);
    this.#push(MESSAGE, 0, dueNs);
    this.#messages.push(deliver);
  }

  /** When the entry so many places behind the first may land; Infinity where there is none. */
  dueAt(index: number): number {
    if (index >= this.size) return Number.POSITIVE_INFINITY;
    return this.#dueNs[(this.#head + index) & (this.#targets.length - 1)]!;
  }

  /**
   * Puts the first chunk into `memory`, or delivers the first message.
   * @param landed told where bytes were put, after they are there
   */
  landFirst(memory: Uint8Array, landed: (target: number, length: number) => void): void {
    const at = this.#head & (this.#targets.length - 1);
    const target = this.#targets[at]!;
    const length = this.#lengths[at]!;
    this.#head++;
    if (target === MESSAGE) {
      this.#messages.shift()!();
      return;
    }
    const start = this.#starts[at]!;
    memory.set(this.#bytes.subarray(start, start + length), target);
    this.#pendingBytes -= length;
    landed(target, length);
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

  #push(target: number, length: number, dueNs: number): void {
    const at = this.#tail++ & (this.#targets.length - 1);
    this.#targets[at] = target;
    this.#lengths[at] = length;
    this.#starts[at] = this.#bytesEnd;
    this.#dueNs[at] = dueNs;
  }

  #makeRoom(length: number): void {
    if (this.size === 0) this.#bytesEnd = 0;
    if (this.size === this.#targets.length) this.#growEntries();
    if (this.#bytesEnd + length > this.#bytes.length) this.#moveBytes(length);
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

  /** What is pending moves to the front; if that is not enough, to a larger array. */
  #moveBytes(length: number): void {
    const mask = this.#targets.length - 1;
    const start = this.#bytesEnd - this.#pendingBytes;
    let bytes = this.#bytes.length;
    while (this.#pendingBytes + length > bytes) bytes *= 2;
    const moved = bytes === this.#bytes.length ? this.#bytes : new Uint8Array(bytes);
    if (moved === this.#bytes) moved.copyWithin(0, start, this.#bytesEnd);
    else moved.set(this.#bytes.subarray(start, this.#bytesEnd));
    this.#bytes = moved;
    for (let entry = this.#head; entry < this.#tail; entry++) {
      this.#starts[entry & mask] = this.#starts[entry & mask]! - start;
    }
    this.#bytesEnd = this.#pendingBytes;
  }
}
