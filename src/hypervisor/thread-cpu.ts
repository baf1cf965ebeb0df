/** CPU time of the calling thread, as the kernel's scheduler counts it. */
import { readFileSync } from 'node:fs';

/** The kernel resolves this path for the thread that opens it. */
const SCHEDSTAT = '/proc/thread-self/schedstat';

/** Nanoseconds that this thread has run; null where the kernel does not say. */
export function threadCpuNs(): number | null {
  try {
    return Number(readFileSync(SCHEDSTAT, 'latin1').split(' ', 1)[0]);
  } catch {
    return null;
  }
}
