/**
 * Writes a flattened device tree (version 17): a tree of nodes becomes one block of bytes, big-endian.
 *
 *   header 40 | memory reservations (none) | structure: tokens of nodes and properties | strings: property names
 */

/** Text, texts, 32-bit cells, raw bytes, or `true` for a property without a value. */
export type FdtValue = string | readonly string[] | readonly number[] | Uint8Array | true;

export interface FdtNode {
  readonly properties: Readonly<Record<string, FdtValue>>;
  readonly children?: Readonly<Record<string, FdtNode>>;
}

const MAGIC = 0xd00dfeed;
const HEADER_BYTES = 40;
const RESERVATION_BYTES = 16;
const TOKEN = { beginNode: 1, endNode: 2, property: 3, end: 9 } as const;
const VERSION = 17;
const OLDEST_COMPATIBLE = 16;

/** A 64-bit number as two cells. */
export const cells64 = (value: number): [number, number] => [Math.floor(value / 2 ** 32), value % 2 ** 32];

export function writeFdt(root: FdtNode): Uint8Array {
  const strings = new Strings();
  const structure = new Words();
  writeNode('', root, structure, strings);
  structure.word(TOKEN.end);
  const names = strings.bytes();
  const structureAt = HEADER_BYTES + RESERVATION_BYTES;
  const stringsAt = structureAt + structure.length;
  const header = new Words();
  for (const word of [
    MAGIC,
    stringsAt + names.length,
    structureAt,
    stringsAt,
    HEADER_BYTES,
    VERSION,
    OLDEST_COMPATIBLE,
    0, // boot hart
    names.length,
    structure.length,
  ]) {
    header.word(word);
  }
  return Buffer.concat([header.bytes(), Buffer.alloc(RESERVATION_BYTES), structure.bytes(), names]);
}

function writeNode(name: string, node: FdtNode, out: Words, strings: Strings): void {
  out.word(TOKEN.beginNode);
  out.padded(Buffer.from(`${name}\0`));
  for (const [key, value] of Object.entries(node.properties)) {
    const bytes = valueBytes(value);
    out.word(TOKEN.property);
    out.word(bytes.length);
    out.word(strings.offsetOf(key));
    out.padded(bytes);
  }
  for (const [child, content] of Object.entries(node.children ?? {})) writeNode(child, content, out, strings);
  out.word(TOKEN.endNode);
}

function valueBytes(value: FdtValue): Uint8Array {
  if (value === true) return new Uint8Array(0);
  if (value instanceof Uint8Array) return value;
  if (typeof value === 'string') return Buffer.from(`${value}\0`);
  const words = new Words();
  for (const item of value) {
    if (typeof item === 'string') words.raw(Buffer.from(`${item}\0`));
    else words.word(item);
  }
  return words.bytes();
}

class Words {
  readonly #parts: Uint8Array[] = [];
  length = 0;

  raw(bytes: Uint8Array): void {
    this.#parts.push(bytes);
    this.length += bytes.length;
  }

  word(value: number): void {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value >>> 0);
    this.raw(bytes);
  }

  padded(bytes: Uint8Array): void {
    this.raw(bytes);
    this.raw(new Uint8Array((4 - (bytes.length % 4)) % 4));
  }

  bytes(): Uint8Array {
    return Buffer.concat(this.#parts);
  }
}

class Strings {
  readonly #offsets = new Map<string, number>();
  #length = 0;

  offsetOf(name: string): number {
    const known = this.#offsets.get(name);
    if (known !== undefined) return known;
    const offset = this.#length;
    this.#offsets.set(name, offset);
    this.#length += name.length + 1;
    return offset;
  }

  bytes(): Uint8Array {
    return Buffer.from([...this.#offsets.keys()].map((name) => `${name}\0`).join(''), 'latin1');
  }
}
