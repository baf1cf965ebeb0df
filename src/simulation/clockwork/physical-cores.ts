/**
 * Fewer physical cores than virtual ones: who runs is kept to, for a time slice, while it has something to do; the
 * others wait.
 *
 *   core 0:  [engine ....... slice over][vcpu ...... sleeps][engine ...
 *   core 1:  [tracker ...
 */
import type { VirtualCore } from './virtual-core.js';

const SLICE_NS = 3_000_000;
/** To put another thread on a core. */
const SWITCH_NS = 1_500;

interface PhysicalCore {
  owner: VirtualCore | null;
  /** Until when its owner keeps it busy, and may go on without anybody else being asked. */
  freeNs: number;
  sliceEndNs: number;
}

export class PhysicalCores {
  readonly #cores: readonly PhysicalCore[];

  constructor(count: number) {
    this.#cores = Array.from({ length: count }, () => ({ owner: null, freeNs: 0, sliceEndNs: 0 }));
  }

  /** When a core that is ready finds a physical core; Infinity: none before others leave theirs. */
  startNs(core: VirtualCore): number {
    return this.#startOn(this.#bestFor(core), core);
  }

  /** The core begins a step: the physical core is its own now. */
  take(core: VirtualCore, nowNs: number): void {
    const physical = this.#bestFor(core);
    if (physical.owner === core && nowNs < physical.sliceEndNs) return;
    for (const other of this.#cores) if (other.owner === core) other.owner = null;
    physical.owner = core;
    physical.sliceEndNs = nowNs + SLICE_NS;
  }

  /** Its step keeps it busy until then. */
  leave(core: VirtualCore, freeNs: number): void {
    const physical = this.#cores.find((one) => one.owner === core);
    if (physical !== undefined) physical.freeNs = freeNs;
  }

  #bestFor(core: VirtualCore): PhysicalCore {
    let best = this.#cores[0]!;
    let bestNs = Infinity;
    for (const physical of this.#cores) {
      const startNs = this.#startOn(physical, core);
      if (startNs < bestNs || (startNs === bestNs && physical.owner === core)) {
        best = physical;
        bestNs = startNs;
      }
    }
    return best;
  }

  #startOn(physical: PhysicalCore, core: VirtualCore): number {
    const owner = physical.owner;
    if (owner === null) return Math.max(core.readyNs, physical.freeNs);
    if (owner === core) {
      const startNs = Math.max(core.readyNs, physical.freeNs);
      // its slice is over: whoever waits goes first
      return startNs < physical.sliceEndNs ? startNs : startNs + 2 * SWITCH_NS;
    }
    // an owner that sleeps in the middle of its step has left the core to others
    if (owner.isOnStack && !owner.isWaiting) return Infinity;
    const goesOn = owner.readyNs <= Math.max(physical.freeNs, core.readyNs);
    const leftNs = goesOn ? Math.max(physical.freeNs, physical.sliceEndNs) : physical.freeNs;
    return Math.max(core.readyNs, leftNs + SWITCH_NS);
  }
}
