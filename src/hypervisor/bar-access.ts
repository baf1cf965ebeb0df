/**
 * The guest's accesses to a VF's BAR0, in the vCPU's thread, as the BAR map has them. The protocol against a mapping that
 * changes meanwhile is in bar-map.ts. A direct access costs two atomic stores and two loads on top of the device's own work.
 */
import { blockThread, type WordWait } from '../hardware/clock.js';
import { BAR_WORD, BAR0_PAGES, MODE } from './bar-map.js';
import type { ExitHook } from './exit-hook.js';
import type { GuestVfBar } from './guest-vf-bar.js';
import { countExit, EXIT_REASON } from './vm-exits.js';

const BAR0_BYTES = BAR0_PAGES * 4096;
const LOOK_AGAIN_MS = 5;

export class BarAccess {
  readonly #words: Int32Array;
  readonly #bar: GuestVfBar;
  readonly #control: Int32Array;
  readonly #wait: WordWait;
  readonly #exits: ExitHook | null;
  /** The trapped write that is under way. */
  #offset = 0;
  #value = 0;

  /**
   * @param control the VM's control page, for the exit counters
   * @param exits who may want to be told of writes to trapped pages
   */
  constructor(
    barMap: SharedArrayBuffer,
    bar: GuestVfBar,
    control: Int32Array,
    wait: WordWait = blockThread,
    exits: ExitHook | null = null,
  ) {
    this.#words = new Int32Array(barMap);
    this.#bar = bar;
    this.#control = control;
    this.#wait = wait;
    this.#exits = exits;
  }

  read32(offset: number): number {
    if (offset < 0 || offset >= BAR0_BYTES) return 0xffff_ffff;
    const words = this.#words;
    const page = offset >>> 12;
    for (;;) {
      Atomics.store(words, BAR_WORD.access, page + 1);
      const mode = Atomics.load(words, BAR_WORD.modes + page);
      if (mode === MODE.shadow) {
        const behind = this.#unseenWrites() > 0;
        const value = behind ? 0 : Atomics.load(words, BAR_WORD.shadow + (offset >> 2));
        this.#leave();
        if (!behind) return value >>> 0;
        this.#waitForTurn(page);
      } else if (mode === MODE.held) {
        this.#leave();
        this.#waitForMapping(page);
      } else {
        if (mode === MODE.trapped) countExit(this.#control, EXIT_REASON.trappedRead);
        const value = this.#bar.read32(0, offset);
        this.#leave();
        return value;
      }
    }
  }

  write32(offset: number, value: number): void {
    if (offset < 0 || offset >= BAR0_BYTES) return;
    const words = this.#words;
    const page = offset >>> 12;
    for (;;) {
      Atomics.store(words, BAR_WORD.access, page + 1);
      const mode = Atomics.load(words, BAR_WORD.modes + page);
      if (mode === MODE.held) {
        this.#leave();
        this.#waitForMapping(page);
        continue;
      }
      if (mode === MODE.shadow) {
        Atomics.store(words, BAR_WORD.shadow + (offset >> 2), value);
        // counted after the store: a turn that has seen the count has seen the value
        Atomics.add(words, BAR_WORD.shadowWrites, 1);
      } else if (mode === MODE.trapped) {
        this.#writeTrapped(page, offset, value);
      } else {
        this.#bar.write32(0, offset, value);
      }
      this.#leave();
      return;
    }
  }

  #writeTrapped(page: number, offset: number, value: number): void {
    countExit(this.#control, EXIT_REASON.trappedWrite);
    this.#offset = offset;
    this.#value = value;
    const handler = this.#exits?.handlerOf(page) ?? null;
    if (handler === null) this.#carryOut();
    else handler.write(offset, value, this.#carryOut);
  }

  readonly #carryOut = (): void => {
    this.#bar.write32(0, this.#offset, this.#value);
  };

  #leave(): void {
    const words = this.#words;
    Atomics.store(words, BAR_WORD.access, 0);
    if (Atomics.load(words, BAR_WORD.waiters) !== 0) Atomics.notify(words, BAR_WORD.access);
  }

  /** Shadow stores that no whole turn of a living server has seen. */
  #unseenWrites(): number {
    const words = this.#words;
    if (Atomics.load(words, BAR_WORD.turnsTaken) === 0) return 0;
    return (Atomics.load(words, BAR_WORD.shadowWrites) - Atomics.load(words, BAR_WORD.turnSeen)) | 0;
  }

  #waitForTurn(page: number): void {
    const words = this.#words;
    countExit(this.#control, EXIT_REASON.turnWait);
    for (;;) {
      // read first: a turn that ends after this line ends the wait below at once
      const seen = Atomics.load(words, BAR_WORD.turnSeen);
      if (this.#unseenWrites() <= 0 || Atomics.load(words, BAR_WORD.modes + page) !== MODE.shadow) return;
      Atomics.add(words, BAR_WORD.wake, 1);
      Atomics.notify(words, BAR_WORD.wake);
      this.#wait(words, BAR_WORD.turnSeen, seen, LOOK_AGAIN_MS);
    }
  }

  #waitForMapping(page: number): void {
    const words = this.#words;
    countExit(this.#control, EXIT_REASON.remapWait);
    while (Atomics.load(words, BAR_WORD.modes + page) === MODE.held) {
      this.#wait(words, BAR_WORD.modes + page, MODE.held, LOOK_AGAIN_MS);
    }
  }
}
