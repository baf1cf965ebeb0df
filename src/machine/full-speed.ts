/**
 * Compiler settings for guests: optimised code before the first call. By default a fresh instance runs its first calls
 * in baseline code and is compiled while it runs, so that a build switch or a restore would be slow just when time
 * counts.
 */
import { setFlagsFromString } from 'node:v8';

let done = false;

/** For the whole process; to be called before guests are compiled. */
export function compileAtFullSpeed(): void {
  if (done) return;
  done = true;
  setFlagsFromString('--no-liftoff');
  setFlagsFromString('--no-wasm-lazy-compilation');
}
