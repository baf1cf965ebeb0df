/**
 * CPU time of threads, as the kernel's scheduler counts it. A thread that blocks in its guest cannot be asked: it tells
 * its name in /proc once, and anyone reads its account.
 */
import { readFileSync, readlinkSync, writeFileSync } from 'node:fs';

/** The kernel resolves this path for the thread that opens it. */
const THREAD_SELF = '/proc/thread-self';

/** The calling thread's place under /proc; null where there is none. */
export function threadPath(): string | null {
  try {
    return `/proc/${readlinkSync(THREAD_SELF)}`;
  } catch {
    return null;
  }
}

/** Names the calling thread for `top -H`, `ps -T` and whoever lists the threads of this process; at most 15 characters. */
export function nameThread(name: string): void {
  try {
    writeFileSync(`${THREAD_SELF}/comm`, name.slice(0, 15));
  } catch {
    // a name is a convenience: without /proc there is none
  }
}

/** Nanoseconds that a thread has run, by default the calling one; null where the kernel does not say, or it has ended. */
export function threadCpuNs(path: string | null = THREAD_SELF): number | null {
  if (path === null) return null;
  try {
    return Number(readFileSync(`${path}/schedstat`, 'latin1').split(' ', 1)[0]);
  } catch {
    return null;
  }
}
