/** Floating point. */

/** False: not an instruction. */
export function executeFloat(word: u32): bool {
  return false;
}
