/** CPU time of the calling thread, as the kernel's scheduler counts it (ns resolution), where the platform tells. */
import { closeSync, openSync, readSync } from 'node:fs';

/** The kernel resolves this path for the thread that opens it: open it anew in every thread. */
const SCHEDSTAT = '/proc/thread-self/schedstat';

/** Nanoseconds this thread has run; 0 where the kernel does not say. */
export function threadCpuNs(): number {
  let file: number;
  try {
    file = openSync(SCHEDSTAT, 'r');
  } catch {
    return 0;
  }
  try {
    const bytes = Buffer.alloc(96);
    const length = readSync(file, bytes, 0, bytes.length, 0);
    return Number(bytes.toString('latin1', 0, length).split(' ', 1)[0]);
  } finally {
    closeSync(file);
  }
}
