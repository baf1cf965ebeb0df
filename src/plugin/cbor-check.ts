/**
 * Walks CBOR without building anything: definite lengths only, no tags, no count that the bytes left could not hold, bounded
 * depth. What passes cannot make a decoder allocate more than a small multiple of the input.
 */

const MAJOR = { bytes: 2, text: 3, list: 4, map: 5, tag: 6 } as const;

class Walker {
  readonly #view: DataView;
  readonly #bytes: number;
  /** Items still to come at each open level. */
  readonly #open: number[] = [1];
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#bytes = bytes.byteLength;
  }

  walk(maxDepth: number, maxItems: number): string | null {
    for (let items = 0; this.#open.length > 0; ) {
      const level = this.#open.length - 1;
      if (this.#open[level] === 0) {
        this.#open.pop();
        continue;
      }
      this.#open[level]!--;
      if (++items > maxItems) return `more than ${maxItems} items`;
      const problem = this.#item(maxDepth);
      if (problem !== null) return `${problem} at byte ${this.#at}`;
    }
    return this.#at === this.#bytes ? null : `${this.#bytes - this.#at} bytes left over`;
  }

  #item(maxDepth: number): string | null {
    if (!this.#has(1)) return 'it ends in the middle';
    const head = this.#view.getUint8(this.#at++);
    const argument = this.#argument(head & 31);
    if (argument < 0) return 'a length that is cut off or indefinite';
    switch (head >> 5) {
      case MAJOR.bytes:
      case MAJOR.text:
        if (!this.#has(argument)) return 'a length past the end';
        this.#at += argument;
        return null;
      case MAJOR.list:
        return this.#enter(argument, maxDepth);
      case MAJOR.map:
        return this.#enter(argument * 2, maxDepth);
      case MAJOR.tag:
        return 'a tag';
      default:
        return null;
    }
  }

  #enter(items: number, maxDepth: number): string | null {
    // every item takes a byte at least
    if (!this.#has(items)) return 'a count past the end';
    if (this.#open.length > maxDepth) return `nesting deeper than ${maxDepth}`;
    this.#open.push(items);
    return null;
  }

  /** The number behind a head's low five bits; -1 where there is none. */
  #argument(info: number): number {
    if (info < 24) return info;
    if (info > 27) return -1;
    const size = 1 << (info - 24);
    if (!this.#has(size)) return -1;
    const at = this.#at;
    this.#at += size;
    const view = this.#view;
    if (size === 1) return view.getUint8(at);
    if (size === 2) return view.getUint16(at);
    if (size === 4) return view.getUint32(at);
    return view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4);
  }

  #has(bytes: number): boolean {
    return bytes <= this.#bytes - this.#at;
  }
}

/** Null when the bytes are one well-formed, bounded item; else what is wrong with them. */
export function cborProblem(bytes: Uint8Array, maxDepth: number, maxItems: number): string | null {
  return new Walker(bytes).walk(maxDepth, maxItems);
}
