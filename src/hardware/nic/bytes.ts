/**
 * Frame bytes and how they are copied.
 *
 * A short frame is copied word by word through DataViews, which need no alignment and cost about as little as an aligned
 * word array; TypedArray.set is faster from some 200 bytes on, but it wants a view of exactly the source bytes, and making
 * one is the only allocation here.
 */

/** Some memory, as bytes and unaligned. */
export interface Bytes {
  readonly u8: Uint8Array;
  readonly view: DataView;
}

/** Up to here a word loop beats TypedArray.set plus the view it needs. */
const SHORT_COPY_BYTES = 256;

export function bytesOf(u8: Uint8Array): Bytes {
  return { u8, view: new DataView(u8.buffer, u8.byteOffset, u8.byteLength) };
}

export function copyBytes(
  from: Bytes,
  fromOffset: number,
  to: Bytes,
  toOffset: number,
  length: number,
): void {
  if (length > SHORT_COPY_BYTES) {
    to.u8.set(from.u8.subarray(fromOffset, fromOffset + length), toOffset);
    return;
  }
  const source = from.view;
  const target = to.view;
  const whole = length & ~3;
  let i = 0;
  for (; i < whole; i += 4) target.setInt32(toOffset + i, source.getInt32(fromOffset + i, true), true);
  for (; i < length; i++) to.u8[toOffset + i] = from.u8[fromOffset + i]!;
}

/** Wraps the arrays that a wire hands frames in: nearly always the same one again. */
export class BytesCache {
  #last: Bytes = bytesOf(new Uint8Array(0));

  wrap(u8: Uint8Array): Bytes {
    if (this.#last.u8 !== u8) this.#last = bytesOf(u8);
    return this.#last;
  }
}
