/** When a main loop has something to do next, in nanoseconds of the machine's clock. */
import { numberOption } from './cmdline';
import { FOREVER_US } from './machine';

export const NEVER: u64 = 0xffffffffffffffff;

/** Milliseconds from the command line to nanoseconds; NEVER when missing or 0. */
export function periodNs(key: string): u64 {
  const ms = numberOption(key, 0);
  return ms == 0 ? NEVER : ms * 1_000_000;
}

@inline export function after(nowNs: u64, period: u64): u64 {
  return period == NEVER ? NEVER : nowNs + period;
}

/** How long to wait for a line. */
export function waitUs(dueNs: u64, nowNs: u64): u32 {
  if (dueNs == NEVER) return FOREVER_US;
  return dueNs <= nowNs ? 0 : <u32>min((dueNs - nowNs + 999) / 1000, <u64>(FOREVER_US - 1));
}
