/**
 * Frame bytes and how they are copied. Three ways, each where it was measured to be fastest:
 *
 *   up to 384 B        a loop of words through DataViews, which need no alignment
 *   longer             TypedArray.set of a view (making the view is the only allocation on the packet path)
 *   longer, and one side is shared memory and the two are not alike modulo 8
 *                      by way of a bounce buffer that is: with shared memory `set` moves words only between equally
 *                      aligned addresses, and single bytes otherwise, four times slower
 */

/** Some memory, as bytes and unaligned. */
export interface Bytes {
  readonly u8: Uint8Array;
  readonly view: DataView;
  /** Over a SharedArrayBuffer. */
  readonly shared: boolean;
  /** Where u8[0] lies modulo 8. */
  readonly skew: number;
}

const SHORT_COPY_BYTES = 384;
/** A Tx descriptor's buffer, the longest single copy, twice: at the source's alignment and at the target's. */
const BOUNCE_HALF_BYTES = 65536 + 8;
/** Lengths for which a view of the bounce buffer is kept. */
const KEPT_VIEWS = 2048;

const bounce = new Uint8Array(2 * BOUNCE_HALF_BYTES);
const bounceViews: (Uint8Array | undefined)[] = new Array<Uint8Array | undefined>(KEPT_VIEWS).fill(undefined);

export function bytesOf(u8: Uint8Array): Bytes {
  return {
    u8,
    view: new DataView(u8.buffer, u8.byteOffset, u8.byteLength),
    shared: u8.buffer instanceof SharedArrayBuffer,
    skew: u8.byteOffset & 7,
  };
}

/** @param length at most 64 KiB. The two ranges may not overlap. */
export function copyBytes(
  from: Bytes,
  fromOffset: number,
  to: Bytes,
  toOffset: number,
  length: number,
): void {
  if (length <= SHORT_COPY_BYTES) copyShort(from, fromOffset, to, toOffset, length);
  else if (!(from.shared || to.shared) || ((fromOffset + from.skew) & 7) === ((toOffset + to.skew) & 7)) {
    to.u8.set(from.u8.subarray(fromOffset, fromOffset + length), toOffset);
  } else copyByBounce(from, fromOffset, to, toOffset, length);
}

function copyShort(from: Bytes, fromOffset: number, to: Bytes, toOffset: number, length: number): void {
  const source = from.view;
  const target = to.view;
  const end = fromOffset + length;
  let at = fromOffset;
  let into = toOffset;
  for (const blocks = end - 15; at < blocks; at += 16, into += 16) {
    const a = source.getInt32(at, true);
    const b = source.getInt32(at + 4, true);
    const c = source.getInt32(at + 8, true);
    const d = source.getInt32(at + 12, true);
    target.setInt32(into, a, true);
    target.setInt32(into + 4, b, true);
    target.setInt32(into + 8, c, true);
    target.setInt32(into + 12, d, true);
  }
  for (const words = end - 3; at < words; at += 4, into += 4) {
    target.setInt32(into, source.getInt32(at, true), true);
  }
  for (; at < end; at++, into++) target.setUint8(into, source.getUint8(at));
}

function copyByBounce(from: Bytes, fromOffset: number, to: Bytes, toOffset: number, length: number): void {
  const target = to.shared ? (toOffset + to.skew) & 7 : 0;
  const source = from.u8.subarray(fromOffset, fromOffset + length);
  if (from.shared) {
    const landed = BOUNCE_HALF_BYTES + ((fromOffset + from.skew) & 7);
    bounce.set(source, landed);
    bounce.copyWithin(target, landed, landed + length);
  } else {
    bounce.set(source, target);
  }
  to.u8.set(target === 0 ? bounceView(length) : bounce.subarray(target, target + length), toOffset);
}

function bounceView(length: number): Uint8Array {
  if (length >= KEPT_VIEWS) return bounce.subarray(0, length);
  return (bounceViews[length] ??= bounce.subarray(0, length));
}

/** Wraps the arrays that a wire hands frames in: nearly always the same one again. */
export class BytesCache {
  #last: Bytes = bytesOf(new Uint8Array(0));

  wrap(u8: Uint8Array): Bytes {
    if (this.#last.u8 !== u8) this.#last = bytesOf(u8);
    return this.#last;
  }
}
