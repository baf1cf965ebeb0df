/** What WebAssembly has no instruction for, or defines otherwise: high halves of products, division's corner cases. */

@inline export function multiplyHighUnsigned(x: u64, y: u64): u64 {
  const x0 = x & 0xffffffff;
  const x1 = x >> 32;
  const y0 = y & 0xffffffff;
  const y1 = y >> 32;
  const low = x0 * y0;
  const middle = x1 * y0 + (low >> 32);
  const other = x0 * y1 + (middle & 0xffffffff);
  return x1 * y1 + (middle >> 32) + (other >> 32);
}

@inline export function multiplyHigh(x: u64, y: u64): u64 {
  let high = multiplyHighUnsigned(x, y);
  if (<i64>x < 0) high -= y;
  if (<i64>y < 0) high -= x;
  return high;
}

@inline export function multiplyHighSignedUnsigned(x: u64, y: u64): u64 {
  const high = multiplyHighUnsigned(x, y);
  return <i64>x < 0 ? high - y : high;
}

@inline export function divide(x: u64, y: u64): u64 {
  if (y === 0) return <u64>-1;
  // the one quotient that does not fit: WebAssembly would trap
  if (y === <u64>-1) return 0 - x;
  return <u64>(<i64>x / <i64>y);
}

@inline export function remainder(x: u64, y: u64): u64 {
  if (y === 0) return x;
  if (y === <u64>-1) return 0;
  return <u64>(<i64>x % <i64>y);
}
