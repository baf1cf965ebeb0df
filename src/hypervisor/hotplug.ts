/**
 * PCI hot-plug on the main thread: asks a guest to let go of a function, takes the function away when it has, and brings it
 * back. Which slots are empty is part of the VM's state and moves with it.
 *
 *   plugged --unplug: guest is asked--> leaving --guest lets go--> function reset, detached: unplugged
 *      ^                                   '--limit, or plug()--> the request is withdrawn: plugged
 *      '----------------- plug: attached, the guest is told -------------------------------------'
 */
import type { TimerClock } from '../hardware/clock.js';
import { CTRL } from '../machine/layout.js';
import {
  HOTPLUG_LINE_MASK,
  HOTPLUG_TAKES_PART,
  HOTPLUG_WORD,
  HOTPLUG_WORDS,
  signalHotplug,
} from './hotplug-registers.js';

export type HotplugFailure =
  /** This kind of guest has no PCI hot-plug. */
  | 'unsupported'
  /** The guest did not let go in time. */
  | 'no-consent'
  /** plug() was called, or the VM ended, while the guest was being asked. */
  | 'withdrawn';

/** A function that could not be unplugged: it is still there. */
export class HotplugError extends Error {
  override readonly name = 'HotplugError';
  readonly reason: HotplugFailure;

  constructor(reason: HotplugFailure, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** A saved state that cannot be. */
export class HotplugStateError extends Error {
  override readonly name = 'HotplugStateError';
}

/** What else happens to a function that goes or comes. */
export interface HotplugFunction {
  /** It can use the bus again. */
  attach(): Promise<void>;
  /** When it resolves, it touches no memory of the VM's. */
  detach(): Promise<void>;
}

/** One slot, as plugins are handed it. */
export interface HotPlug {
  readonly supported: boolean;
  readonly plugged: boolean;
  unplug(limitMs?: number): Promise<void>;
  plug(): Promise<void>;
}

/** What of it is a VM's state. */
export interface SavedHotplug {
  readonly takesPart: boolean;
  readonly line: number;
  /** Slots, a bit each. */
  readonly absent: number;
  readonly arrived: number;
}

export interface HotplugHost {
  /** The VM's control page. */
  readonly control: Int32Array;
  readonly timers: TimerClock;
  /** Resolves when words[index] is no longer `seen`, or earlier. */
  whenChanged(words: Int32Array, index: number, seen: number): Promise<void>;
}

const DEFAULT_LIMIT_MS = 3000;
const EVENTS = CTRL.hotplug + HOTPLUG_WORD.events;
const LEAVING = CTRL.hotplug + HOTPLUG_WORD.leaving;
const ABSENT = CTRL.hotplug + HOTPLUG_WORD.absent;
const ARRIVED = CTRL.hotplug + HOTPLUG_WORD.arrived;
const CONTROL = CTRL.hotplug + HOTPLUG_WORD.control;

export class Hotplug {
  readonly supported: boolean;
  readonly host: HotplugHost;
  readonly #slots = new Map<number, HotplugSlot>();

  /** @param supported whether this kind of guest is shown the capability */
  constructor(host: HotplugHost, supported: boolean) {
    this.host = host;
    this.supported = supported;
    for (let word = 0; word < HOTPLUG_WORDS; word++) Atomics.store(host.control, CTRL.hotplug + word, 0);
    Atomics.store(host.control, CTRL.hotplug + HOTPLUG_WORD.offered, supported ? 1 : 0);
  }

  /** Makes the function of a slot one that can go and come. */
  add(slot: number, device: HotplugFunction): HotPlug {
    const made = new HotplugSlot(this, slot, device);
    this.#slots.set(slot, made);
    return made;
  }

  /** Undefined: the slot never had a function. */
  slot(slot: number): HotPlug | undefined {
    return this.#slots.get(slot);
  }

  /** Whether a function is in the slot, as its guest sees it. */
  isPlugged(slot: number): boolean {
    return (Atomics.load(this.host.control, ABSENT) & (1 << slot)) === 0;
  }

  /** The VM stands still. A request that is under way is this host's and stays. */
  save(): SavedHotplug {
    const { control } = this.host;
    const wanted = Atomics.load(control, CONTROL);
    return {
      takesPart: (wanted & HOTPLUG_TAKES_PART) !== 0,
      line: wanted & HOTPLUG_LINE_MASK,
      absent: Atomics.load(control, ABSENT) >>> 0,
      arrived: Atomics.load(control, ARRIVED) >>> 0,
    };
  }

  /** @throws HotplugStateError before anything was changed */
  restore(value: unknown): void {
    const { takesPart, line, absent, arrived } = this.#decode(value);
    const { control } = this.host;
    Atomics.store(control, CONTROL, (takesPart ? HOTPLUG_TAKES_PART : 0) | line);
    Atomics.store(control, ARRIVED, arrived | 0);
    Atomics.store(control, LEAVING, 0);
    Atomics.store(control, ABSENT, absent | 0);
  }

  /** The VM ends: nobody waits for its guest any more. */
  close(): void {
    for (const slot of this.#slots.values()) slot.withdraw('the VM ended');
  }

  #decode(value: unknown): SavedHotplug {
    if (typeof value !== 'object' || value === null) throw new HotplugStateError('hot-plug state: no record');
    const record = value as Record<string, unknown>;
    const { takesPart, line } = record;
    const slots = (name: 'absent' | 'arrived'): number => {
      const bits = record[name];
      if (typeof bits !== 'number' || !Number.isInteger(bits) || bits < 0 || bits > 0xffff_ffff)
        throw new HotplugStateError(`hot-plug state: ${name} is not a set of slots`);
      for (let slot = 0; slot < 32; slot++) {
        if (((bits >>> slot) & 1) !== 0 && !this.#slots.has(slot))
          throw new HotplugStateError(`hot-plug state: ${name} names slot ${slot}, which this VM has not`);
      }
      return bits;
    };
    if (typeof takesPart !== 'boolean' || typeof line !== 'number' || (line & HOTPLUG_LINE_MASK) !== line)
      throw new HotplugStateError('hot-plug state: the line is not one of 0 to 31');
    const decoded = { takesPart, line, absent: slots('absent'), arrived: slots('arrived') };
    if (!this.supported && (takesPart || decoded.absent !== 0 || decoded.arrived !== 0))
      throw new HotplugStateError('hot-plug state: this kind of guest has no PCI hot-plug');
    return decoded;
  }
}

class HotplugSlot implements HotPlug {
  readonly #owner: Hotplug;
  readonly #slot: number;
  readonly #device: HotplugFunction;
  /** Ends the wait for the guest; null while it is not being asked. */
  #giveUp: ((why: HotplugError) => void) | null = null;
  /** What is under way was called off: before the guest was asked, it is not asked at all. */
  #withdrawn: HotplugError | null = null;
  #unplugging: Promise<void> | null = null;
  #plugging: Promise<void> | null = null;

  constructor(owner: Hotplug, slot: number, device: HotplugFunction) {
    this.#owner = owner;
    this.#slot = slot;
    this.#device = device;
  }

  get supported(): boolean {
    return this.#owner.supported;
  }

  get plugged(): boolean {
    return this.#owner.isPlugged(this.#slot);
  }

  /** Asks the guest; resolves when it has let go and the function touches nothing any more. @throws HotplugError */
  unplug(limitMs: number = DEFAULT_LIMIT_MS): Promise<void> {
    this.#unplugging ??= this.#unplug(limitMs).finally(() => {
      this.#unplugging = null;
      this.#withdrawn = null;
    });
    return this.#unplugging;
  }

  /** Resolves when the function is there and the guest has been told. A request to let go is withdrawn. */
  plug(): Promise<void> {
    this.#plugging ??= this.#plug().finally(() => {
      this.#plugging = null;
    });
    return this.#plugging;
  }

  withdraw(why: string): void {
    if (this.#unplugging === null) return;
    this.#withdrawn = new HotplugError('withdrawn', `slot ${this.#slot} is not unplugged after all: ${why}`);
    this.#giveUp?.(this.#withdrawn);
  }

  async #unplug(limitMs: number): Promise<void> {
    await this.#plugging;
    if (!this.plugged) return;
    if (!this.supported) {
      throw new HotplugError(
        'unsupported',
        `slot ${this.#slot} cannot be unplugged: this kind of guest has no PCI hot-plug`,
      );
    }
    if (this.#withdrawn !== null) throw this.#withdrawn;
    await this.#consent(limitMs);
    await this.#device.detach();
  }

  async #plug(): Promise<void> {
    if (this.#unplugging !== null) {
      this.withdraw('it is plugged in again');
      // what it says was said to whoever asked for it
      await this.#unplugging.catch(() => {});
    }
    if (this.plugged) return;
    await this.#device.attach();
    const { control } = this.#owner.host;
    Atomics.or(control, ARRIVED, this.#bit);
    Atomics.and(control, ABSENT, ~this.#bit);
    signalHotplug(control);
  }

  /** Resolves when the guest has let go. */
  async #consent(limitMs: number): Promise<void> {
    const { control, timers } = this.#owner.host;
    Atomics.or(control, LEAVING, this.#bit);
    signalHotplug(control);
    let gaveUp: HotplugError | null = null;
    let wake: () => void = () => {};
    const end = new Promise<void>((resolve) => {
      wake = resolve;
    });
    this.#giveUp = (why) => {
      gaveUp ??= why;
      wake();
    };
    const cancelLimit = timers.after(limitMs, () => this.#giveUp?.(this.#refusal(limitMs)));
    try {
      await Promise.race([this.#gone(() => gaveUp !== null), end]);
      // a guest that has begun to let go just now is waited for: the rest is the vCPU's and takes no time
      if (gaveUp !== null && this.#takeBack()) throw gaveUp;
      await this.#gone(() => false);
    } finally {
      this.#giveUp = null;
      cancelLimit();
    }
  }

  async #gone(isOver: () => boolean): Promise<void> {
    const { host } = this.#owner;
    while (this.plugged && !isOver()) {
      const seen = Atomics.load(host.control, EVENTS);
      if (!this.plugged) return;
      await host.whenChanged(host.control, EVENTS, seen);
    }
  }

  /** False: too late, the guest has taken the request. */
  #takeBack(): boolean {
    const { control } = this.#owner.host;
    const wasAsked = (Atomics.and(control, LEAVING, ~this.#bit) & this.#bit) !== 0;
    // whoever still waits for an event of this request looks again
    Atomics.notify(control, EVENTS);
    return wasAsked;
  }

  #refusal(limitMs: number): HotplugError {
    const takesPart = (Atomics.load(this.#owner.host.control, CONTROL) & HOTPLUG_TAKES_PART) !== 0;
    const why = takesPart
      ? `its guest was asked and did not let go within ${limitMs} ms`
      : `its guest does not take part in hot-plug (waited ${limitMs} ms): use an image whose driver does`;
    return new HotplugError('no-consent', `slot ${this.#slot} was not unplugged: ${why}`);
  }

  get #bit(): number {
    return 1 << this.#slot;
  }
}
