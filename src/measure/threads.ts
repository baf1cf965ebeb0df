/** The threads of this process, by the names they gave themselves, and what each has run: the cores of a VMM. */
import { readdirSync, readFileSync } from 'node:fs';

export interface ThreadInfo {
  readonly tid: number;
  readonly name: string;
  /** The process's first thread. */
  readonly isMain: boolean;
  readonly cpuMs: number;
}

/** This process's threads as the kernel lists them; empty where there is no /proc. */
export function listThreads(): ThreadInfo[] {
  let tids: string[];
  try {
    tids = readdirSync('/proc/self/task');
  } catch {
    return [];
  }
  const threads: ThreadInfo[] = [];
  for (const tid of tids) {
    try {
      const name = readFileSync(`/proc/self/task/${tid}/comm`, 'utf8').trim();
      const runNs = Number(readFileSync(`/proc/self/task/${tid}/schedstat`, 'utf8').split(' ', 1)[0]);
      threads.push({ tid: Number(tid), name, isMain: Number(tid) === process.pid, cpuMs: runNs / 1e6 });
    } catch {
      // it ended between the listing and the reading
    }
  }
  return threads;
}

/** A thread's core: `main`, the name that it gave itself, or `runtime` for Node's own helpers, which give themselves none. */
export const coreOf = ({ name, isMain }: ThreadInfo): string =>
  isMain ? 'main' : name.startsWith('srvm ') ? name.slice(5) : 'runtime';

/** What each core ran in one slice of time. */
export interface CoreSample {
  /** Milliseconds since the sampling began; the end of the slice. */
  readonly atMs: number;
  /** Per cent of one core, by name: main, srvm vcpu, srvm nic, srvm sender, srvm tracker, and the runtime's helpers together. */
  readonly percent: Readonly<Record<string, number>>;
}

const MAX_SAMPLES = 6000;

/**
 * Samples the cores until stopped. The kernel's account advances in steps of a few milliseconds, so slices are 100 ms.
 */
export class CoreSampler {
  readonly samples: CoreSample[] = [];
  readonly #beganMs = performance.now();
  #lastMs = this.#beganMs;
  #last = byTid();
  readonly #timer: NodeJS.Timeout;

  constructor(sliceMs = 100) {
    this.#timer = setInterval(() => this.#sample(), sliceMs);
    this.#timer.unref();
  }

  /** Takes the last, shorter slice. */
  stop(): readonly CoreSample[] {
    clearInterval(this.#timer);
    this.#sample();
    return this.samples;
  }

  #sample(): void {
    const nowMs = performance.now();
    const now = byTid();
    const sliceMs = nowMs - this.#lastMs;
    const percent: Record<string, number> = {};
    for (const [tid, thread] of now) {
      const core = coreOf(thread);
      const ranMs = thread.cpuMs - (this.#last.get(tid)?.cpuMs ?? 0);
      percent[core] = (percent[core] ?? 0) + (ranMs * 100) / sliceMs;
    }
    if (this.samples.length < MAX_SAMPLES) this.samples.push({ atMs: nowMs - this.#beganMs, percent });
    this.#lastMs = nowMs;
    this.#last = now;
  }
}

const byTid = (): Map<number, ThreadInfo> => new Map(listThreads().map((thread) => [thread.tid, thread]));
