/**
 * Functions over memory that JavaScript is slow at: where a run of pages of one repeated byte ends, where it begins, and a
 * 64-bit hash. They are WebAssembly, assembled here byte by byte, and work on a guest's own shared memory or on a private
 * buffer.
 *
 *   filledUntil(at, end, byte): address of the first page in at..end that holds any other byte, or end
 *   dataUntil(at, end): address of the first page in at..end whose bytes are all the same, or end
 *   hash(at, end): low half of the hash of at..end, a multiple of 32 bytes; hashHigh(): the high half of the last one
 */
import { PAGE_BYTES } from '../hardware/units.js';

export interface PageHelper {
  /** Byte addresses, page aligned, unsigned. */
  filledUntil(at: number, end: number, byte: number): number;
  dataUntil(at: number, end: number): number;
  /** filledUntil of zero. */
  zeroUntil(at: number, end: number): number;
  hash(at: number, end: number): number;
  hashHigh(): number;
}

/** Unsigned LEB128. */
function u(value: number): number[] {
  const out: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    out.push((rest % 128) | 0x80);
    rest = Math.floor(rest / 128);
  }
  out.push(rest);
  return out;
}

/** Signed LEB128 of a 64-bit constant. */
function s64(value: bigint): number[] {
  const out: number[] = [];
  let rest = BigInt.asIntN(64, value);
  for (;;) {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    if ((rest === 0n && low < 0x40) || (rest === -1n && low >= 0x40)) {
      out.push(low);
      return out;
    }
    out.push(low | 0x80);
  }
}

const I32 = 0x7f;
const I64 = 0x7e;
const V128 = 0x7b;
const end = 0x0b;
const brIf = (depth: number): number[] => [0x0d, depth];
const get = (local: number): number[] => [0x20, local];
const set = (local: number): number[] => [0x21, local];
const i32const = (value: number): number[] => [0x41, ...s64(BigInt(value))];
const i64const = (value: bigint): number[] => [0x42, ...s64(value)];
const i32add = 0x6a;
const i32and = 0x71;
const i32ne = 0x47;
const i32geU = 0x4f;
const i64xor = 0x85;
const i64mul = 0x7e;
const i64shrU = 0x88;
const i32wrap = 0xa7;
const i32load8u = [0x2d, 0, 0];
const i64load = (offset: number): number[] => [0x29, 3, ...u(offset)];
const v128load = (offset: number): number[] => [0xfd, 0, 4, ...u(offset)];
const i8x16splat = [0xfd, 0x0f];
const v128or = [0xfd, 0x50];
const v128xor = [0xfd, 0x51];
const v128anyTrue = [0xfd, 0x53];

const section = (id: number, body: number[]): number[] => [id, ...u(body.length), ...body];
const vector = (items: number[][]): number[] => [...u(items.length), ...items.flat()];
const text = (value: string): number[] => [...u(value.length), ...Buffer.from(value, 'latin1')];
const code = (locals: number[], body: number[]): number[] => {
  const whole = [...locals, ...body, end];
  return [...u(whole.length), ...whole];
};

/** So much is looked at per turn: a page with data near its start is left at once. */
const CHUNK_BYTES = 128;

/** In a loop: compares a page from local 3 on with local 4, 16 bytes at a time. `differs` leaves it; it ends behind the page. */
function comparePage(differs: number[]): number[] {
  const differenceAt = (offset: number): number[] => [...get(3), ...v128load(offset), ...get(4), ...v128xor];
  const difference = differenceAt(0);
  for (let offset = 16; offset < CHUNK_BYTES; offset += 16)
    difference.push(...differenceAt(offset), ...v128or);
  return [
    ...[...difference, ...v128anyTrue, ...differs],
    ...[...get(3), ...i32const(CHUNK_BYTES), i32add, ...set(3)],
    ...[...get(3), ...i32const(PAGE_BYTES - 1), i32and, ...brIf(0)],
  ];
}

/** Locals: 0 at, 1 end, 2 byte, 3 p, 4 the byte 16 times. */
function filledUntilBody(): number[] {
  return code(
    [2, 1, I32, 1, V128],
    [
      ...[...get(2), ...i8x16splat, ...set(4)],
      ...[0x02, 0x40], // block: left when `at` is the answer
      ...[0x03, 0x40], // loop over pages
      ...[...get(0), ...get(1), i32geU, ...brIf(1)],
      ...[...get(0), ...set(3)],
      ...[0x03, 0x40], // loop over chunks
      ...comparePage(brIf(2)),
      end,
      ...[...get(3), ...set(0)],
      ...[0x0c, 0], // next page
      end,
      end,
      ...get(0),
    ],
  );
}

/** Locals: 0 at, 1 end, 2 unused, 3 p, 4 the page's first byte 16 times. */
function dataUntilBody(): number[] {
  return code(
    [2, 2, I32, 1, V128],
    [
      ...[0x02, 0x40], // block: left when `at` is the answer
      ...[0x03, 0x40], // loop over pages
      ...[...get(0), ...get(1), i32geU, ...brIf(1)],
      ...[...get(0), ...i32load8u, ...i8x16splat, ...set(4)],
      ...[...get(0), ...set(3)],
      ...[0x02, 0x40], // block: left when the page holds two different bytes
      ...[0x03, 0x40], // loop over chunks
      ...comparePage(brIf(1)),
      end,
      ...[0x0c, 2], // all its bytes are the same
      end,
      ...[...get(0), ...i32const(PAGE_BYTES), i32add, ...set(0)],
      ...[0x0c, 0], // next page
      end,
      end,
      ...get(0),
    ],
  );
}

const MULTIPLIER = 0x9e3779b97f4a7c15n;

/**
 * Locals: 0 at, 1 end, 2..5 four lanes. Each step of a lane is a bijection of the lane for given data, so one changed word
 * always changes the hash.
 */
function hashBody(): number[] {
  const lanes = [2, 3, 4, 5];
  const mix = (lane: number, operand: number[]): number[] => [
    ...[...get(lane), ...operand, i64xor, ...i64const(MULTIPLIER), i64mul, ...set(lane)],
    ...[...get(lane), ...get(lane), ...i64const(29n), i64shrU, i64xor, ...set(lane)],
  ];
  return code(
    [1, 4, I64],
    [
      ...lanes.flatMap((lane) => [...i64const(MULTIPLIER * BigInt(lane)), ...set(lane)]),
      ...[0x03, 0x40],
      ...lanes.flatMap((lane, index) => mix(lane, [...get(0), ...i64load(8 * index)])),
      ...[...get(0), ...i32const(32), i32add, ...set(0)],
      ...[...get(0), ...get(1), i32ne, ...brIf(0)],
      end,
      ...mix(2, get(3)),
      ...mix(2, get(4)),
      ...mix(2, get(5)),
      ...[...get(2), ...i64const(32n), i64shrU, i32wrap, 0x24, 0],
      ...[...get(2), i32wrap],
    ],
  );
}

function moduleBytes(shared: boolean): Uint8Array<ArrayBuffer> {
  const functionType = (params: number[], results: number[]): number[] => [
    0x60,
    ...vector(params.map((p) => [p])),
    ...vector(results.map((r) => [r])),
  ];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(
      1,
      vector([
        functionType([I32, I32, I32], [I32]),
        functionType([I32, I32], [I32]),
        functionType([], [I32]),
      ]),
    ),
    // 1..65536 pages: any memory matches
    ...section(
      2,
      vector([[...text('env'), ...text('memory'), 0x02, shared ? 0x03 : 0x01, ...u(1), ...u(65536)]]),
    ),
    ...section(3, vector([[0], [1], [2], [1]])),
    ...section(6, vector([[I32, 0x01, ...i32const(0), end]])),
    ...section(
      7,
      vector([
        [...text('filledUntil'), 0, 0],
        [...text('dataUntil'), 0, 3],
        [...text('hash'), 0, 1],
        [...text('hashHigh'), 0, 2],
      ]),
    ),
    ...section(10, vector([filledUntilBody(), hashBody(), code([0], [0x23, 0]), dataUntilBody()])),
  ]);
}

const compiled = new Map<boolean, WebAssembly.Module>();

function helperOver(memory: WebAssembly.Memory, shared: boolean): PageHelper {
  const module = compiled.get(shared) ?? new WebAssembly.Module(moduleBytes(shared));
  compiled.set(shared, module);
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  const wasm = exports as unknown as PageHelper;
  return {
    filledUntil: (at, endAt, byte) => wasm.filledUntil(at, endAt, byte) >>> 0,
    dataUntil: (at, endAt) => wasm.dataUntil(at, endAt) >>> 0,
    zeroUntil: (at, endAt) => wasm.filledUntil(at, endAt, 0) >>> 0,
    hash: (at, endAt) => wasm.hash(at, endAt) >>> 0,
    hashHigh: () => wasm.hashHigh() >>> 0,
  };
}

/** Over a guest's memory. */
export const createPageHelper = (memory: WebAssembly.Memory): PageHelper => helperOver(memory, true);

/** A private buffer of fixed size that can hash parts of itself. */
export interface HashedBuffer {
  readonly bytes: Buffer;
  hash(at: number, end: number): number;
  hashHigh(): number;
}

export function createHashedBuffer(bytes: number): HashedBuffer {
  const pages = Math.ceil(bytes / 65536);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const { hash, hashHigh } = helperOver(memory, false);
  return { bytes: Buffer.from(memory.buffer, 0, bytes), hash, hashHigh };
}
