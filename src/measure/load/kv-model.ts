/**
 * What the store's client knows must be in the store: per key a version, from which the value's length and bytes
 * follow. So the model of tens of megabytes is a few bytes per key, and every reply can be compared byte by byte.
 */

/** The key is not in the store. */
const ABSENT = 0;
/** The last change was not confirmed: anything may be there until the next confirmed one. */
const UNKNOWN = -1;

export interface ValueSizes {
  readonly minBytes: number;
  readonly maxBytes: number;
}

export class KvModel {
  readonly keys: number;
  private readonly sizes: ValueSizes;
  private readonly confirmed: Int32Array;
  private readonly newest: Int32Array;
  private readonly words: Int32Array;
  /** The bytes of the last expand(). */
  readonly value: Uint8Array;

  constructor(keys: number, sizes: ValueSizes) {
    this.keys = keys;
    this.sizes = sizes;
    this.confirmed = new Int32Array(keys);
    this.newest = new Int32Array(keys);
    this.words = new Int32Array((sizes.maxBytes + 3) >> 2);
    this.value = new Uint8Array(this.words.buffer);
  }

  isKnown(key: number): boolean {
    return this.confirmed[key] !== UNKNOWN;
  }

  isPresent(key: number): boolean {
    return this.confirmed[key]! > 0;
  }

  /** The version that the store must hold; 0 for none. */
  versionOf(key: number): number {
    return this.confirmed[key]!;
  }

  /** A version that this key never had. */
  nextVersion(key: number): number {
    return ++this.newest[key]!;
  }

  confirm(key: number, version: number): void {
    this.confirmed[key] = version;
  }

  confirmAbsent(key: number): void {
    this.confirmed[key] = ABSENT;
  }

  forget(key: number): void {
    this.confirmed[key] = UNKNOWN;
  }

  valueBytes(key: number, version: number): number {
    const { minBytes, maxBytes } = this.sizes;
    return minBytes + ((mix(key, version) >>> 8) % (maxBytes - minBytes + 1));
  }

  /** Writes the value into `value`; returns its length. */
  expand(key: number, version: number): number {
    const dataBytes = this.valueBytes(key, version);
    const { words } = this;
    const seed = mix(key, version);
    const wordCount = (dataBytes + 3) >> 2;
    let word = seed;
    for (let i = 0; i < wordCount; i++) {
      word = (Math.imul(word, 0x0019660d) + 0x3c6ef35f) | 0;
      words[i] = word ^ (word >>> 15);
    }
    return dataBytes;
  }

  /** Whether these bytes are that version of the key. */
  matches(key: number, version: number, bytes: Uint8Array, offset: number, dataBytes: number): boolean {
    if (this.expand(key, version) !== dataBytes) return false;
    const { value } = this;
    for (let i = 0; i < dataBytes; i++) if (bytes[offset + i] !== value[i]) return false;
    return true;
  }
}

function mix(key: number, version: number): number {
  let hash = Math.imul(key + 1, 0x9e3779b1) ^ Math.imul(version, 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  hash = Math.imul(hash ^ (hash >>> 12), 0x297a2d39);
  return hash ^ (hash >>> 15);
}
