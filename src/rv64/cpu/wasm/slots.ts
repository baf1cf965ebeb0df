/** A decoded slot's operands: see ops.ts. */

/** Value of the register whose address is operand a (stores, branches: rs2). */
@inline export function ra(op: usize): u64 {
  return load<u64>(load<u32>(op, 4));
}
@inline export function rb(op: usize): u64 {
  return load<u64>(load<u32>(op, 8));
}
@inline export function rc(op: usize): u64 {
  return load<u64>(load<u32>(op, 12));
}
@inline export function imm(op: usize): u64 {
  return <u64>(<i64>load<i32>(op, 12));
}
@inline export function step(op: usize): u32 {
  return <u32>load<u8>(op, 2);
}
@inline export function handler(op: usize): u32 {
  return <u32>load<u16>(op);
}
@inline export function set(op: usize, value: u64): void {
  store<u64>(load<u32>(op, 4), value);
}
@inline export function word(value: u64): u64 {
  return <u64>(<i64>(<i32>value));
}
/** A single in a register of doubles. */
export const BOX: u64 = 0xffffffff00000000;

@inline export function pcOf(delta: u64, op: usize): u64 {
  return delta + <u64>(op >>> 3);
}
