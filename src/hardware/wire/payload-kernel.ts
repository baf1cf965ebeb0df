/**
 * The two inner loops over a test payload's words, in WebAssembly SIMD: a 1500-byte frame holds 359 words, and plain
 * JavaScript takes about 0.9 ns for each of them, ten times as long. The module is so small that it is assembled here,
 * byte by byte; test-payload.ts has the same rules in plain code, and the tests compare the two.
 *
 *     memory: | lane sums (16) | running sums (16) | pad | frames from FRAMES_OFFSET on ... |
 */

/** Below this the kernel's memory belongs to itself. */
export const FRAMES_OFFSET = 64;
/** How far fill() may write past the last word: it stores four words at a time. */
export const FILL_OVERSHOOT_BYTES = 12;

const WASM_PAGE_BYTES = 65536;
const LANES = 4;
const GROUP_BYTES = 16;

// ---- opcodes (WebAssembly core specification) ---------------------------------------------------------------------

const I32 = 0x7f;
const V128 = 0x7b;
const VOID_BLOCK = 0x40;
const LOOP = 0x03;
const END = 0x0b;
const BR_IF = 0x0d;
const LOCAL_GET = 0x20;
const LOCAL_SET = 0x21;
const LOCAL_TEE = 0x22;
const I32_CONST = 0x41;
const I32_LT_U = 0x49;
const I32_ADD = 0x6a;
const V128_LOAD = [0xfd, 0x00, 2, 0];
const V128_STORE = [0xfd, 0x0b, 2, 0];
const V128_CONST = [0xfd, 0x0c];
const I32X4_SPLAT = [0xfd, 0x11];
const I32X4_ADD = [0xfd, 0xae, 0x01];

const lanes = (a: number, b: number, c: number, d: number): number[] =>
  [a, b, c, d].flatMap((value) => [value, 0, 0, 0]);

/** `at += 16; if (at < end) continue` with `at` in local 0 and `end` in local 1. */
const NEXT_GROUP = [
  ...[LOCAL_GET, 0, I32_CONST, GROUP_BYTES, I32_ADD, LOCAL_TEE, 0],
  ...[LOCAL_GET, 1, I32_LT_U, BR_IF, 0],
];

/** fill(at, end, word): words word, word + 1, ... from `at` until `end` is reached. */
const FILL_BODY = [
  ...[1, 1, V128],
  ...[LOCAL_GET, 2, ...I32X4_SPLAT, ...V128_CONST, ...lanes(0, 1, 2, 3), ...I32X4_ADD, LOCAL_SET, 3],
  ...[LOOP, VOID_BLOCK],
  ...[LOCAL_GET, 0, LOCAL_GET, 3, ...V128_STORE],
  ...[LOCAL_GET, 3, ...V128_CONST, ...lanes(4, 4, 4, 4), ...I32X4_ADD, LOCAL_SET, 3],
  ...NEXT_GROUP,
  ...[END, END],
];

/** sum(at, end): per lane, the sum of the words (to 0) and the running sum of that sum (to 16). */
const SUM_BODY = [
  ...[1, 2, V128],
  ...[LOOP, VOID_BLOCK],
  ...[LOCAL_GET, 0, ...V128_LOAD, LOCAL_GET, 2, ...I32X4_ADD, LOCAL_TEE, 2],
  ...[LOCAL_GET, 3, ...I32X4_ADD, LOCAL_SET, 3],
  ...NEXT_GROUP,
  END,
  ...[I32_CONST, 0, LOCAL_GET, 2, ...V128_STORE],
  ...[I32_CONST, GROUP_BYTES, LOCAL_GET, 3, ...V128_STORE],
  END,
];

function leb(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...leb(value >>> 7)];
}

const counted = (bytes: readonly number[]): number[] => [...leb(bytes.length), ...bytes];
const section = (id: number, bytes: readonly number[]): number[] => [id, ...counted(bytes)];
const text = (value: string): number[] => counted([...Buffer.from(value)]);

function assemble(pages: number): Uint8Array<ArrayBuffer> {
  const functionType = (parameters: number): number[] => [
    0x60,
    parameters,
    ...Array(parameters).fill(I32),
    0,
  ];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [2, ...functionType(3), ...functionType(2)]),
    ...section(3, [2, 0, 1]),
    ...section(5, [1, 0, ...leb(pages)]),
    ...section(7, [3, ...text('memory'), 2, 0, ...text('fill'), 0, 0, ...text('sum'), 0, 1]),
    ...section(10, [2, ...counted(FILL_BODY), ...counted(SUM_BODY)]),
  ]);
}

interface KernelExports {
  readonly memory: WebAssembly.Memory;
  fill(at: number, end: number, word: number): void;
  sum(at: number, end: number): void;
}

export class PayloadKernel {
  /** The kernel's memory: frames are built in it or copied to it, from FRAMES_OFFSET on. */
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  readonly doubles: Float64Array;
  private readonly exports: KernelExports;

  /** @param roomBytes what the holder needs from FRAMES_OFFSET on. */
  constructor(roomBytes: number) {
    const pages = Math.ceil((FRAMES_OFFSET + roomBytes + GROUP_BYTES) / WASM_PAGE_BYTES);
    const instance = new WebAssembly.Instance(new WebAssembly.Module(assemble(pages)));
    this.exports = instance.exports as unknown as KernelExports;
    const buffer = this.exports.memory.buffer;
    this.bytes = new Uint8Array(buffer);
    this.words = new Int32Array(buffer);
    this.doubles = new Float64Array(buffer);
  }

  /** Writes `word`, `word` + 1, ... `count` words from `at` on, and up to FILL_OVERSHOOT_BYTES more. */
  fill(at: number, count: number, word: number): void {
    if (count > 0) this.exports.fill(at, at + count * 4, word);
  }

  /**
   * Folds `count` words from `at` on into s1 and s2 as they were before: check word of the whole. Four interleaved sums
   * are put together at the end: with `g` groups, word i of n = 4g counts (n - i) times in s2, which is four times its
   * lane's running sum less its lane's number.
   */
  check(at: number, count: number, s1Before: number, s2Before: number): number {
    const groups = count >> 2;
    const { words } = this;
    let s1 = s1Before | 0;
    let s2 = s2Before | 0;
    if (groups > 0) {
      this.exports.sum(at, at + groups * GROUP_BYTES);
      const running = (words[4]! + words[5]! + words[6]! + words[7]!) | 0;
      const laneWeighted = (words[1]! + 2 * words[2]! + 3 * words[3]!) | 0;
      s2 = (s2 + Math.imul(groups * LANES, s1) + Math.imul(LANES, running) - laneWeighted) | 0;
      s1 = (s1 + words[0]! + words[1]! + words[2]! + words[3]!) | 0;
    }
    const end = (at >> 2) + count;
    for (let i = (at >> 2) + groups * LANES; i < end; i++) {
      s1 = (s1 + words[i]!) | 0;
      s2 = (s2 + s1) | 0;
    }
    return (s1 ^ ((s2 << 16) | (s2 >>> 16))) >>> 0;
  }
}
