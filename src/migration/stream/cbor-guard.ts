/**
 * A look at CBOR bytes before a decoder sees them: only the plain kinds of item (numbers, text, bytes, arrays, maps, true,
 * false, null, doubles), definite lengths that the bytes really hold, bounded depth and count. What passes cannot make a
 * decoder recurse deeply, allocate much, or build a special object from a tag.
 */
import { StreamFormatError } from '../errors.js';

export interface CborLimits {
  readonly maxDepth: number;
  readonly maxItems: number;
}

/** Of the stream's own records. */
export const CBOR_LIMITS: CborLimits = { maxDepth: 8, maxItems: 4096 };

const bad = (what: string, at: number): StreamFormatError =>
  new StreamFormatError(`not acceptable CBOR at byte ${at}: ${what}`);

/** Throws StreamFormatError unless `bytes` is exactly one acceptable item. */
export function checkCbor(bytes: Uint8Array, limits: CborLimits = CBOR_LIMITS): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // how many items are still due at each depth; explicit, so that nesting cannot use up the stack
  const due: number[] = [1];
  let at = 0;
  let items = 0;
  while (due.length > 0) {
    if (due[due.length - 1] === 0) {
      due.pop();
      continue;
    }
    due[due.length - 1]!--;
    if (++items > limits.maxItems) throw bad(`more than ${limits.maxItems} items`, at);
    const head = readHead(view, at);
    at = head.next;
    if (head.bodyBytes > bytes.length - at) throw bad('longer than the record', at);
    at += head.bodyBytes;
    if (head.children > 0) {
      if (head.children > bytes.length - at) throw bad('more members than bytes', at);
      if (due.length >= limits.maxDepth) throw bad(`deeper than ${limits.maxDepth}`, at);
      due.push(head.children);
    }
  }
  if (at !== bytes.length) throw bad(`${bytes.length - at} bytes after the item`, at);
}

interface Head {
  readonly next: number;
  readonly bodyBytes: number;
  readonly children: number;
}

function readHead(view: DataView, at: number): Head {
  if (at >= view.byteLength) throw bad('it ends here', at);
  const initial = view.getUint8(at);
  const major = initial >> 5;
  const info = initial & 31;
  if (major === 6) throw bad('tags are not used', at);
  if (major === 7) return readSimple(view, at, info);
  const argument = readArgument(view, at, info);
  const next = at + 1 + argument.bytes;
  if (major === 2 || major === 3) return { next, bodyBytes: argument.value, children: 0 };
  if (major === 4) return { next, bodyBytes: 0, children: argument.value };
  if (major === 5) return { next, bodyBytes: 0, children: argument.value * 2 };
  return { next, bodyBytes: 0, children: 0 };
}

function readSimple(view: DataView, at: number, info: number): Head {
  const extraBytes = info === 25 ? 2 : info === 26 ? 4 : info === 27 ? 8 : 0;
  if (extraBytes === 0 && (info < 20 || info > 23)) throw bad(`simple value ${info}`, at);
  if (at + 1 + extraBytes > view.byteLength) throw bad('it ends here', at);
  return { next: at + 1 + extraBytes, bodyBytes: 0, children: 0 };
}

function readArgument(view: DataView, at: number, info: number): { value: number; bytes: number } {
  if (info < 24) return { value: info, bytes: 0 };
  if (info > 27) throw bad('indefinite length', at);
  const bytes = 1 << (info - 24);
  if (at + 1 + bytes > view.byteLength) throw bad('it ends here', at);
  if (bytes === 1) return { value: view.getUint8(at + 1), bytes };
  if (bytes === 2) return { value: view.getUint16(at + 1), bytes };
  if (bytes === 4) return { value: view.getUint32(at + 1), bytes };
  const high = view.getUint32(at + 1);
  if (high > 0x1fffff) throw bad('a number beyond 2^53', at);
  return { value: high * 2 ** 32 + view.getUint32(at + 5), bytes };
}
