/**
 * A few physical cores under many threads: a step that finds none free waits in line. Fair to the step, so kinder than a
 * kernel's scheduler with its time slices.
 */
import type { Scheduler } from '../clockwork/scheduler.js';
import type { CoreSpec, StepEnd, VirtualCore } from '../clockwork/virtual-core.js';

/** Until whoever stands first in line has taken the free core. */
const LINE_MOVES_NS = 50;

export class PhysicalCores {
  readonly #scheduler: Scheduler;
  /** When each is free. */
  readonly #freeNs: number[];
  /** Threads that want a core, the first in line first. */
  readonly #line: Thread[] = [];

  constructor(scheduler: Scheduler, count: number) {
    this.#scheduler = scheduler;
    this.#freeNs = new Array(count).fill(0);
  }

  /** A thread: its busy time is what its own steps cost, without the waiting. */
  thread(spec: Omit<CoreSpec, 'speed'>): Thread {
    const thread: Thread = { core: null!, busyNs: 0 };
    thread.core = this.#scheduler.core({
      ...spec,
      speed: 1,
      step: () => this.#step(thread, spec.step),
    });
    return thread;
  }

  #step(thread: Thread, step: () => StepEnd): StepEnd {
    const nowNs = this.#scheduler.nowNs();
    const core = this.#freeNs.indexOf(Math.min(...this.#freeNs));
    const place = this.#line.indexOf(thread);
    const isFree = this.#freeNs[core]! <= nowNs;
    if (!isFree || (place < 0 ? this.#line.length : place) > 0) {
      if (place < 0) this.#line.push(thread);
      return { costNs: 1, againNs: isFree ? LINE_MOVES_NS : this.#freeNs[core]! - nowNs };
    }
    if (place === 0) this.#line.shift();
    const end = step();
    this.#freeNs[core] = nowNs + end.costNs;
    thread.busyNs += end.costNs;
    return end;
  }
}

export interface Thread {
  core: VirtualCore;
  busyNs: number;
}
