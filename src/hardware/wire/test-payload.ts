/**
 * The payload of test traffic, so that any receiver can tell loss, duplicates, reordering, delay and corruption:
 *
 *     u32 seq | u32 check | f64 timestampNs | u32 w[0] | u32 w[1] | ...      w[i] = seq * 0x9E3779B1 + i, little-endian
 *
 * check = s1 ^ rotl(s2, 16), where s1 is the sum of all whole words but `check` and s2 the running sum of s1. Trailing
 * 1 to 3 bytes are not covered.
 */
import { copyBytes } from './copy-bytes.js';
import { FRAMES_OFFSET, PayloadKernel } from './payload-kernel.js';

export const WORD_STEP = 0x9e3779b1;
export const SEQ_OFFSET = 0;
export const CHECK_OFFSET = 4;
export const TIMESTAMP_OFFSET = 8;
/** seq, check and the two halves of the timestamp. */
export const PAYLOAD_HEAD_BYTES = 16;

/** Copying a payload to the kernel pays from about here on. */
const KERNEL_MIN_BYTES = 128;
const KERNEL_MAX_BYTES = 16 * 1024;
let kernel: PayloadKernel | null = null;

// One DataView serves all frames of a buffer: frames lie at any alignment, and making a view costs more than reading.
let cachedBuffer: ArrayBufferLike | null = null;
let cachedView: DataView<ArrayBufferLike> = new DataView(new ArrayBuffer(0));

/** A DataView over the whole buffer behind `bytes`; offsets into it are relative to the buffer. */
export function viewOf(bytes: Uint8Array): DataView {
  if (bytes.buffer !== cachedBuffer) {
    cachedBuffer = bytes.buffer;
    cachedView = new DataView(bytes.buffer);
  }
  return cachedView;
}

function fold(s1: number, s2: number): number {
  return (s1 ^ ((s2 << 16) | (s2 >>> 16))) >>> 0;
}

/** The check word that a test payload must carry. */
export function payloadCheck(bytes: Uint8Array, offset: number, payloadBytes: number): number {
  if (payloadBytes < KERNEL_MIN_BYTES || payloadBytes > KERNEL_MAX_BYTES) {
    return plainCheck(bytes, offset, payloadBytes);
  }
  kernel ??= new PayloadKernel(KERNEL_MAX_BYTES);
  copyBytes(kernel.bytes, FRAMES_OFFSET, bytes, offset, payloadBytes);
  const { words } = kernel;
  const first = FRAMES_OFFSET >> 2;
  let s1 = words[first]!;
  let s2 = s1;
  s1 = (s1 + words[first + 2]!) | 0;
  s2 = (s2 + s1) | 0;
  s1 = (s1 + words[first + 3]!) | 0;
  s2 = (s2 + s1) | 0;
  return kernel.check(FRAMES_OFFSET + PAYLOAD_HEAD_BYTES, (payloadBytes - PAYLOAD_HEAD_BYTES) >> 2, s1, s2);
}

/** The rule as it is written above, word by word: for short payloads, and what the kernel is compared with. */
export function plainCheck(bytes: Uint8Array, offset: number, payloadBytes: number): number {
  const view = viewOf(bytes);
  const start = bytes.byteOffset + offset;
  const end = start + (payloadBytes & ~3);
  let s1 = view.getUint32(start, true) | 0;
  let s2 = s1;
  for (let at = start + TIMESTAMP_OFFSET; at < end; at += 4) {
    s1 = (s1 + view.getUint32(at, true)) | 0;
    s2 = (s2 + s1) | 0;
  }
  return fold(s1, s2);
}

/** Whether a payload is whole. @returns false for one that is too short to say. */
export function payloadIsGood(bytes: Uint8Array, offset: number, payloadBytes: number): boolean {
  if (payloadBytes < PAYLOAD_HEAD_BYTES) return false;
  const carried = viewOf(bytes).getUint32(bytes.byteOffset + offset + CHECK_OFFSET, true);
  return carried === payloadCheck(bytes, offset, payloadBytes);
}

export function payloadSeq(bytes: Uint8Array, offset: number): number {
  return viewOf(bytes).getUint32(bytes.byteOffset + offset + SEQ_OFFSET, true);
}

export function payloadTimestampNs(bytes: Uint8Array, offset: number): number {
  return viewOf(bytes).getFloat64(bytes.byteOffset + offset + TIMESTAMP_OFFSET, true);
}

/**
 * The check word of a generated payload in closed form: the words after the head are consecutive, so their sums need no
 * loop. `wordCount` is the number of w[i].
 */
export function generatedCheck(
  seq: number,
  timestampLow: number,
  timestampHigh: number,
  wordCount: number,
): number {
  const first = seq | 0;
  let s1 = first;
  let s2 = first;
  s1 = (s1 + timestampLow) | 0;
  s2 = (s2 + s1) | 0;
  s1 = (s1 + timestampHigh) | 0;
  s2 = (s2 + s1) | 0;
  const n = wordCount;
  const base = Math.imul(seq, WORD_STEP);
  // s1 after k words: s1 + k*base + k(k-1)/2; s2 adds that up for k = 1..n. The counts are exact in a double.
  const pairs = (n * (n - 1)) / 2;
  const triples = ((n + 1) * n * (n - 1)) / 6;
  s2 = (s2 + Math.imul(n, s1) + Math.imul((n * (n + 1)) / 2, base) + triples) | 0;
  s1 = (s1 + Math.imul(n, base) + pairs) | 0;
  return fold(s1, s2);
}

/** Writes a whole test payload, its trailing bytes as zero. */
export function writePayload(
  bytes: Uint8Array,
  offset: number,
  payloadBytes: number,
  seq: number,
  timestampNs: number,
): void {
  const view = viewOf(bytes);
  const start = bytes.byteOffset + offset;
  const wordCount = (payloadBytes - PAYLOAD_HEAD_BYTES) >> 2;
  view.setUint32(start + SEQ_OFFSET, seq, true);
  view.setFloat64(start + TIMESTAMP_OFFSET, timestampNs, true);
  let word = Math.imul(seq, WORD_STEP);
  let at = start + PAYLOAD_HEAD_BYTES;
  for (let i = 0; i < wordCount; i++) {
    view.setInt32(at, word, true);
    word = (word + 1) | 0;
    at += 4;
  }
  for (const end = start + payloadBytes; at < end; at++) view.setUint8(at, 0);
  const low = view.getInt32(start + TIMESTAMP_OFFSET, true);
  const high = view.getInt32(start + TIMESTAMP_OFFSET + 4, true);
  view.setUint32(start + CHECK_OFFSET, generatedCheck(seq, low, high, wordCount), true);
}
