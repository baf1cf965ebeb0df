/** A plugin's core in the caller's thread: the same loop as the worker's, one step at a time, as the caller likes. */
import type { Clock } from '../../hardware/clock.js';
import type { Core, CoreModule, CoreView } from '../core-api.js';
import { CORE_CONTROL, CORE_CONTROL_WORDS, CoreLoop } from '../core-loop.js';
import type { CoreReport } from '../core-messages.js';
import { type CoreStart, type RunningCore, sharedWordsOf } from '../core-thread.js';
import { SharedDirtyMarks } from '../dirty-marks.js';

/** Steps of one turn before the bench gives up on the device. */
const MAX_STEPS = 10_000;

export class InlineCore implements RunningCore {
  readonly shared: Int32Array;
  readonly #control = new Int32Array(new SharedArrayBuffer(CORE_CONTROL_WORDS * 4));
  readonly #loop: CoreLoop;
  readonly #finish: () => void;
  readonly #counters: () => Readonly<Record<string, number>>;
  /** Lets the device and time go on while a turn waits for them. */
  readonly #meanwhile: () => void;
  #acknowledged = 0;
  #failure: Error | null = null;
  #isKilled = false;

  private constructor(start: CoreStart, module: CoreModule, clock: Clock, meanwhile: () => void) {
    this.shared = sharedWordsOf(start.request);
    this.#meanwhile = meanwhile;
    const { parts } = start.access;
    const view: CoreView = {
      vf: parts.vf,
      ram: parts.ram,
      bar0: parts.bar0,
      bar3: parts.bar3,
      pf: parts.pf,
      pages: parts.pages,
      clock,
      dirty: new SharedDirtyMarks(start.dirty, start.dirtyPages),
      shared: this.shared,
      note: start.onNote,
    };
    const makeCore = (): Core => module.createCore(view, start.request.data);
    this.#loop = new CoreLoop(makeCore, parts.pages, clock, this.#control, (sequence) => {
      this.#acknowledged = sequence;
    });
    const { core } = this.#loop;
    this.#finish = () => core.finish?.();
    this.#counters = () => core.counters?.() ?? {};
  }

  static async start(start: CoreStart, clock: Clock, meanwhile: () => void): Promise<InlineCore> {
    const module = (await import(String(start.request.module))) as CoreModule;
    return new InlineCore(start, module, clock, meanwhile);
  }

  /** One step of the core's loop. Returns the work it found. */
  step(): number {
    if (this.#failure !== null) throw this.#failure;
    try {
      return this.#loop.step();
    } catch (error) {
      this.#failure = error instanceof Error ? error : new Error(String(error));
      throw this.#failure;
    }
  }

  /** How long its thread would sleep now. */
  get idleNs(): number {
    return this.#loop.idleNs();
  }

  /** Steps to the end of a whole turn. */
  wholeTurn(): void {
    const wanted = Atomics.add(this.#control, CORE_CONTROL.turnRequest, 1) + 1;
    for (let i = 0; this.#acknowledged < wanted; i++) {
      if (i === MAX_STEPS) throw new Error(`a turn of the core did not end in ${MAX_STEPS} steps`);
      this.step();
      if (this.#loop.turnOpen) this.#meanwhile();
    }
  }

  async turn(): Promise<void> {
    this.wholeTurn();
  }

  /** It is gone, without a word. */
  kill(): void {
    this.#failure = new Error('the core was killed');
    this.#isKilled = true;
  }

  async stop(): Promise<CoreReport | null> {
    if (this.#isKilled) return null;
    if (this.#failure === null) {
      try {
        this.wholeTurn();
        this.#finish();
      } catch {
        return null;
      }
    }
    return {
      cpuNs: 0,
      loopCpuNs: 0,
      aliveNs: 0,
      counters: { ...this.#loop.counters(), ...this.#counters() },
    };
  }
}
