/**
 * The bytes that frames are filled with: a piece of one fixed block that looks like noise, so that writing is one copy and
 * checking one comparison. Where the piece begins tells one frame's bytes from another's.
 */

/** A power of two: a start may be any number. */
const BLOCK_BYTES = 65536;
/** A piece at most. */
export const MAX_PATTERN_BYTES = BLOCK_BYTES;

const BLOCK = noise();

export function writePattern(into: Uint8Array, at: number, start: number, bytes: number): void {
  into.set(piece(start, bytes), at);
}

/** How many bytes from `at` on are the pattern's; `bytes`: all of them. */
export function patternLength(of: Uint8Array, at: number, start: number, bytes: number): number {
  const wanted = piece(start, bytes);
  if (Buffer.compare(of.subarray(at, at + bytes), wanted) === 0) return bytes;
  return wanted.findIndex((byte, i) => of[at + i] !== byte);
}

function piece(start: number, bytes: number): Uint8Array {
  if (bytes > MAX_PATTERN_BYTES) {
    throw new RangeError(`a pattern of ${bytes} bytes: ${MAX_PATTERN_BYTES} at most`);
  }
  const first = start & (BLOCK_BYTES - 1);
  return BLOCK.subarray(first, first + bytes);
}

/** The block twice, so that a piece may run over its end. */
function noise(): Uint8Array {
  const words = new Uint32Array((2 * BLOCK_BYTES) / 4);
  let state = 0x9e3779b9;
  for (let i = 0; i < words.length / 2; i++) {
    // xorshift32
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  words.copyWithin(words.length / 2, 0);
  return new Uint8Array(words.buffer);
}
