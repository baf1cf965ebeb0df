/**
 * How a guest's accesses to one VF's BAR0 are served, page by page; switchable from any thread while the guest runs.
 *
 *   direct   the device         trapped  the device, as a counted VM exit         shadow  plain memory, seen by its server
 *
 * Changing a mapping (map) against an access that may be under way in the vCPU's thread (BarAccess in bar-access.ts):
 *
 *   vCPU:      access = page + 1 ; mode = modes[page] ; ...the access... ; access = 0 ; notify if `waiters`
 *                                  mode held: access = 0, wait until it is not, begin again
 *   switcher:  modes[page] = held ; waiters++ ; wait while access == page + 1 ; [whileHeld] ; modes[page] = new ; notify
 *
 * Both sides write their own word before they read the other's, so one of them sees the other. A held page belongs to
 * whoever changed its mode from a stable one; a holder that died (a killed core) loses it after HOLD_LIMIT_MS.
 *
 * Turns: a guest that reads a shadow page it wrote waits for a whole turn of the server that began after the write.
 */
import { blockThread, type WordWait } from '../hardware/clock.js';
import { PAGE_BYTES, PAGE_SHIFT } from '../hardware/units.js';

export type PageMapping = 'direct' | 'trapped' | 'shadow';

export const BAR0_PAGES = 4;
export const SHADOW_WORDS = PAGE_BYTES >> 2;

/** Values of a mode word. */
export const MODE = { direct: 0, trapped: 1, shadow: 2, held: 3 } as const;
const MAPPINGS: readonly PageMapping[] = ['direct', 'trapped', 'shadow'];

/** Words of the shared memory. */
export const BAR_WORD = {
  modes: 0,
  /** Page + 1 of the access that is under way; 0 = none. One vCPU: one word. */
  access: 4,
  /** Non-zero: a switcher sleeps until the access is over. */
  waiters: 5,
  /** Stores to shadow pages so far; incremented after the store. */
  shadowWrites: 6,
  /** shadowWrites as it was when the last whole turn began. */
  turnSeen: 7,
  /** 1 once a server takes turns: without one, nobody waits for a turn. */
  turnsTaken: 8,
  /** A sleeping server waits on it; incremented by a guest that needs a turn. */
  wake: 9,
  /** Non-zero: counters are read with an offset, see statistics-offset.ts. */
  statisticsOn: 10,
  /** Orders for the vCPU's thread so far, see exit-hook.ts. */
  exitOrders: 11,
  /** 7 words of offsets. */
  statistics: 12,
  /** Non-zero: the hypervisor sets the interrupt intervals, see coalescing.ts. */
  throttleOwned: 19,
  shadow: 64,
} as const;
const BAR_MAP_BYTES = BAR_WORD.shadow * 4 + BAR0_PAGES * PAGE_BYTES;

const HOLD_LIMIT_MS = 2000;
const LOOK_AGAIN_MS = 5;

/** A mapping that could not be changed because the guest's access did not end. */
export class BarMapStuckError extends Error {
  constructor(page: number) {
    super(
      `page ${page} of BAR0: the guest's access did not end within ${HOLD_LIMIT_MS} ms, its thread may be dead`,
    );
    this.name = 'BarMapStuckError';
  }
}

export const createBarMapBuffer = (): SharedArrayBuffer => new SharedArrayBuffer(BAR_MAP_BYTES);

/** A thread's view of the mapping: for everyone but the guest. */
export class BarMap {
  readonly count = BAR0_PAGES;
  readonly words: Int32Array;
  readonly buffer: SharedArrayBuffer;
  readonly #wait: WordWait;
  #turnSnapshot = 0;

  constructor(buffer: SharedArrayBuffer, wait: WordWait = blockThread) {
    this.buffer = buffer;
    this.#wait = wait;
    this.words = new Int32Array(buffer);
  }

  mappingOf(page: number): PageMapping {
    checkPage(page);
    for (let waitedMs = 0; ; waitedMs += LOOK_AGAIN_MS) {
      const mode = Atomics.load(this.words, BAR_WORD.modes + page);
      if (mode !== MODE.held) return MAPPINGS[mode]!;
      // a dead holder's page: whoever maps it next gets it
      if (waitedMs >= HOLD_LIMIT_MS) return 'direct';
      this.#wait(this.words, BAR_WORD.modes + page, MODE.held, LOOK_AGAIN_MS);
    }
  }

  /**
   * Changes a page's mapping. When it returns, no access is under way on the old one. `whileHeld` runs at a moment when
   * the guest can access the page in neither way; if it throws, the page keeps its old mapping.
   */
  map(page: number, mapping: PageMapping, whileHeld?: () => void): void {
    checkPage(page);
    const words = this.words;
    const modeWord = BAR_WORD.modes + page;
    const old = this.#hold(page);
    let next = old;
    try {
      this.#waitForAccess(page);
      whileHeld?.();
      next = MODE[mapping];
    } finally {
      Atomics.store(words, modeWord, next);
      Atomics.notify(words, modeWord);
      this.#endTurnsWithoutShadow();
      // a guest that waits for a turn on this page looks at the mapping again
      Atomics.notify(words, BAR_WORD.turnSeen);
    }
  }

  /** The memory behind a page in shadow mapping. */
  shadow(page: number): Int32Array {
    checkPage(page);
    return new Int32Array(this.buffer, BAR_WORD.shadow * 4 + page * PAGE_BYTES, SHADOW_WORDS);
  }

  turnStarted(): void {
    this.#turnSnapshot = Atomics.load(this.words, BAR_WORD.shadowWrites);
    Atomics.store(this.words, BAR_WORD.turnsTaken, 1);
  }

  turnEnded(): void {
    const words = this.words;
    if (Atomics.load(words, BAR_WORD.turnSeen) === this.#turnSnapshot) return;
    Atomics.store(words, BAR_WORD.turnSeen, this.#turnSnapshot);
    Atomics.notify(words, BAR_WORD.turnSeen);
  }

  /** With the last shadow page its server goes too; one that goes on says so with its next turn. */
  #endTurnsWithoutShadow(): void {
    const words = this.words;
    for (let page = 0; page < BAR0_PAGES; page++) {
      if (Atomics.load(words, BAR_WORD.modes + page) === MODE.shadow) return;
    }
    Atomics.store(words, BAR_WORD.turnsTaken, 0);
  }

  #hold(page: number): number {
    const words = this.words;
    const modeWord = BAR_WORD.modes + page;
    for (let waitedMs = 0; ; ) {
      const mode = Atomics.load(words, modeWord);
      if (mode === MODE.held) {
        // a dead holder's page: what it was mapped as is unknown, the device is the safe answer should `map` fail
        if (waitedMs >= HOLD_LIMIT_MS) return MODE.direct;
        this.#wait(words, modeWord, MODE.held, LOOK_AGAIN_MS);
        waitedMs += LOOK_AGAIN_MS;
      } else if (Atomics.compareExchange(words, modeWord, mode, MODE.held) === mode) {
        return mode;
      }
    }
  }

  #waitForAccess(page: number): void {
    const words = this.words;
    const inPage = page + 1;
    if (Atomics.load(words, BAR_WORD.access) !== inPage) return;
    Atomics.add(words, BAR_WORD.waiters, 1);
    try {
      for (let waitedMs = 0; Atomics.load(words, BAR_WORD.access) === inPage; waitedMs += LOOK_AGAIN_MS) {
        if (waitedMs >= HOLD_LIMIT_MS) throw new BarMapStuckError(page);
        this.#wait(words, BAR_WORD.access, inPage, LOOK_AGAIN_MS);
      }
    } finally {
      Atomics.sub(words, BAR_WORD.waiters, 1);
    }
  }
}

function checkPage(page: number): void {
  if (!Number.isInteger(page) || page < 0 || page >= BAR0_PAGES) {
    throw new RangeError(
      `page ${page} of BAR0: it has pages 0 to ${BAR0_PAGES - 1} of ${1 << PAGE_SHIFT} bytes`,
    );
  }
}
