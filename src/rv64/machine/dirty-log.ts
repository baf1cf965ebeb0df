/**
 * The dirty log of a vCPU that marks a page at its first store only, and remembers in its TLB that it did. So whoever takes
 * the marks must make it forget before the pages are copied:
 *
 *   take the marks -> generation + 1 -> the vCPU has acknowledged, or stands still -> copy
 *
 * A store before the acknowledgement is in the copy; one behind it marks its page anew.
 */
import { blockThread, type WordWait } from '../../hardware/clock.js';
import type { DirtyMap } from '../../machine/dirty-map.js';
import { SharedDirtyMap } from '../../machine/dirty-map.js';
import { wakeVcpu } from '../../machine/interrupt-lines.js';
import { CTRL, VCPU_STATE } from '../../machine/layout.js';
import { controlWords } from '../../machine/memory.js';
import type { Rv64Layout } from '../cpu/layout.js';
import { DIRTY_ACKNOWLEDGED, DIRTY_GENERATION } from '../cpu/wasm/offsets.js';

/** The vCPU looks every few thousand instructions; this is for one whose thread does not get the processor. */
const ACKNOWLEDGE_LIMIT_MS = 2000;
const LOOK_AGAIN_MS = 0.2;

/** The vCPU neither stands still nor answers. */
export class DirtyLogError extends Error {
  override readonly name = 'DirtyLogError';
}

export class Rv64DirtyLog implements DirtyMap {
  readonly #map: SharedDirtyMap;
  readonly #control: Int32Array;
  readonly #words: Int32Array;
  readonly #wait: WordWait;

  constructor(memory: WebAssembly.Memory, layout: Rv64Layout, wait: WordWait = blockThread) {
    const buffer = memory.buffer as unknown as SharedArrayBuffer;
    this.#map = new SharedDirtyMap(buffer, layout.machine.dirtyLogOffset, layout.machine.ramPages);
    this.#control = controlWords(memory, layout.machine);
    this.#words = new Int32Array(buffer, layout.cpuOffset, (DIRTY_ACKNOWLEDGED + 4) / 4);
    this.#wait = wait;
  }

  mark(page: Parameters<DirtyMap['mark']>[0]): void {
    this.#map.mark(page);
  }

  isMarked(page: Parameters<DirtyMap['isMarked']>[0]): boolean {
    return this.#map.isMarked(page);
  }

  harvest(into: Uint8Array): number {
    const pages = this.#map.harvest(into);
    const generation = (Atomics.add(this.#words, DIRTY_GENERATION / 4, 1) + 1) | 0;
    for (let waitedMs = 0; !this.#isSettled(generation); waitedMs += LOOK_AGAIN_MS) {
      if (waitedMs > ACKNOWLEDGE_LIMIT_MS) {
        throw new DirtyLogError(`the vCPU has not begun a new dirty log within ${ACKNOWLEDGE_LIMIT_MS} ms`);
      }
      Atomics.store(this.#control, CTRL.attention, 1);
      wakeVcpu(this.#control);
      const seen = Atomics.load(this.#words, DIRTY_ACKNOWLEDGED / 4);
      if (seen !== generation) this.#wait(this.#words, DIRTY_ACKNOWLEDGED / 4, seen, LOOK_AGAIN_MS);
    }
    return pages;
  }

  /** One that stands still acknowledges before its next store. */
  #isSettled(generation: number): boolean {
    return (
      Atomics.load(this.#control, CTRL.state) !== VCPU_STATE.running ||
      Atomics.load(this.#words, DIRTY_ACKNOWLEDGED / 4) === generation
    );
  }
}
