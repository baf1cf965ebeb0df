/**
 * One copy for all wires: short frames by a loop, long ones by `set`, because making a subarray costs more than
 * moving the bytes of a minimum-size frame.
 */

const LOOP_LIMIT_BYTES = 96;

export function copyBytes(
  to: Uint8Array,
  toOffset: number,
  from: Uint8Array,
  fromOffset: number,
  length: number,
): void {
  if (length <= LOOP_LIMIT_BYTES) {
    for (let i = 0; i < length; i++) to[toOffset + i] = from[fromOffset + i]!;
  } else {
    to.set(from.subarray(fromOffset, fromOffset + length), toOffset);
  }
}
