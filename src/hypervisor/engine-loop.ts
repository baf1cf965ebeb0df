/**
 * The loop of a worker that drives an engine: steps while there is work, and sleeps when there is none. Wires' sockets live
 * in the same thread, so between steps the event loop gets its turn.
 *
 *   turn:    step, step, ... while there is work -> again after the sockets had their turn
 *   limited: a short wait in place               -> a full port's next frames come together, and their guests have the core
 *   nothing: look again a few times              -> an answer is often microseconds away
 *            a few short waits in place          -> on the bell alone: a guest's register write wakes at once
 *            sleep in the event loop             -> bell, wire, message, deadline; costs nothing, wakes slower
 */
import { realClock } from '../hardware/clock.js';

/** Steps in a row before the sockets are looked at. */
const STEPS_PER_TURN = 8;
/** Turns without work that only look again. */
const LOOKS = 6;
/** Turns after them that wait in place, the sockets being looked at in between. */
const WAITS_IN_PLACE = 5;
const WAIT_NS = 50_000;
/** A deadline nearer than this is waited for in place: timers of the event loop count milliseconds. */
const TIMER_NS = 2_000_000;
/** A nearer deadline is not worth a trip into the kernel. */
const SHORTEST_WAIT_NS = 20_000;
const MAX_SLEEP_MS = 1000;
/** At a speed limit: the wait in which the next frames gather. What the limit lets an engine catch up is many times as long. */
const GATHER_NS = 50_000;
/** A step that did less has found no more than what came since the one before. */
const FEW = 4;

export interface SteppedEngine {
  /** Does some of what there is to do; 0: there was nothing. */
  step(): number;
  /** When there is something to do even if nobody rings; Infinity: never. */
  nextDueNs(): number;
  /** When the speed limit that ended its last step lets go; Infinity: none did. An engine without limits leaves it out. */
  limitEndNs?(): number;
}

/** Shared words: whoever has work counts `rung` up, and notifies it while `asleep` is 1. */
export interface EngineBell {
  readonly words: Int32Array;
  readonly rung: number;
  readonly asleep: number;
}

export class EngineLoop {
  readonly #engine: SteppedEngine;
  readonly #words: Int32Array;
  readonly #rung: number;
  readonly #asleep: number;
  readonly #onStop: () => Promise<void>;
  #stopped = false;
  #idleTurns = 0;
  #busySteps = 0;
  #sleeps = 0;
  /** Ends the sleep that is under way. */
  #wake: (() => void) | null = null;

  /** `onStop` is called once, when the last turn is over. */
  constructor(engine: SteppedEngine, bell: EngineBell, onStop: () => Promise<void>) {
    this.#engine = engine;
    this.#words = bell.words;
    this.#rung = bell.rung;
    this.#asleep = bell.asleep;
    this.#onStop = onStop;
  }

  /** Steps of its turns that found work. */
  get busySteps(): number {
    return this.#busySteps;
  }

  /** Times it went to sleep in the event loop. */
  get sleeps(): number {
    return this.#sleeps;
  }

  start(): void {
    setImmediate(this.#turn);
  }

  stop(): void {
    this.#stopped = true;
    this.wakeUp();
  }

  /** For this thread: others ring. */
  wakeUp(): void {
    const wake = this.#wake;
    if (wake === null) return;
    wake();
    // the waiter that lost the race must not be left behind
    Atomics.notify(this.#words, this.#rung);
  }

  readonly #turn = (): void => {
    if (this.#stopped) {
      void this.#onStop();
      return;
    }
    let work = 0;
    let done = 0;
    for (let i = 0; i < STEPS_PER_TURN; i++) {
      done = this.#engine.step();
      if (done === 0) break;
      work++;
    }
    this.#busySteps += work;
    this.#idleTurns = work > 0 ? 0 : this.#idleTurns + 1;
    if (done < FEW && this.#isLimited()) {
      this.#waitInPlace(GATHER_NS, FEW);
      setImmediate(this.#turn);
    } else if (this.#idleTurns < LOOKS) setImmediate(this.#turn);
    else this.#rest();
  };

  #isLimited(): boolean {
    const endNs = this.#engine.limitEndNs?.() ?? Infinity;
    return endNs !== Infinity && endNs - realClock.nowNs() < GATHER_NS;
  }

  /** Nothing to do just now: waits a moment, or goes to sleep. */
  #rest(): void {
    const dueNs = this.#engine.nextDueNs() - realClock.nowNs();
    if (dueNs > TIMER_NS && this.#idleTurns >= LOOKS + WAITS_IN_PLACE) {
      void this.#sleep(Math.min(MAX_SLEEP_MS, dueNs / 1e6));
      return;
    }
    if (dueNs > SHORTEST_WAIT_NS) this.#waitInPlace(Math.min(dueNs, WAIT_NS));
    setImmediate(this.#turn);
  }

  /** Sockets are not looked at meanwhile. A step that finds `enough` to do is worth more than the wait. */
  #waitInPlace(waitNs: number, enough = 1): void {
    const words = this.#words;
    const rung = Atomics.load(words, this.#rung);
    Atomics.store(words, this.#asleep, 1);
    // a ring between the last step and this line: it may not have notified
    if (
      this.#engine.step() >= enough ||
      Atomics.wait(words, this.#rung, rung, waitNs / 1e6) !== 'timed-out'
    ) {
      this.#idleTurns = 0;
    }
    Atomics.store(words, this.#asleep, 0);
  }

  async #sleep(limitMs: number): Promise<void> {
    const words = this.#words;
    const rung = Atomics.load(words, this.#rung);
    Atomics.store(words, this.#asleep, 1);
    // whoever rings from here on notifies; what was rung before is found by this look
    if (this.#engine.step() === 0 && !this.#stopped) {
      const wait = Atomics.waitAsync(words, this.#rung, rung, limitMs);
      if (wait.async) {
        this.#sleeps++;
        await Promise.race([
          wait.value,
          new Promise<void>((resolve) => {
            this.#wake = resolve;
          }),
        ]);
        this.#wake = null;
      }
    }
    Atomics.store(words, this.#asleep, 0);
    this.#idleTurns = 0;
    this.#turn();
  }
}
