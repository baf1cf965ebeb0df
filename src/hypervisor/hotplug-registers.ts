/**
 * PCI hot-plug as a guest sees it: a vendor-specific capability of the host bridge (slot 0), and an interrupt line of its
 * own choice. In the vCPU's thread.
 *
 *   0x40  capability: id 09, next, length, version 1
 *   0x44  control     31: the guest takes part; 4:0 the interrupt line it wants to be told on
 *   0x48  present     slots that hold a function                                             (read only)
 *   0x4c  leaving     slots whose function is to go; writing 1: the guest has let go of it, and it is gone
 *   0x50  arrived     slots whose function has come; writing 1 clears
 *
 * The words are in the VM's control page: whoever makes a bus for the VM has them. A guest that knows nothing of this never
 * writes `control`, is never interrupted, and keeps its functions.
 *
 *   host:   leaving |= slot ------> line            guest: lets go, writes `leaving`
 *   vCPU:   claims the bit -> function reset -> absent |= slot -> events++       host: domain detached
 */
import { raiseInterruptLine } from '../machine/interrupt-lines.js';
import { CTRL } from '../machine/layout.js';

/** Words from CTRL.hotplug on. */
export const HOTPLUG_WORD = {
  /** Non-zero: this kind of guest is shown the capability. */
  offered: 0,
  control: 1,
  /** Slots whose function is away; 0 in a new VM. */
  absent: 2,
  leaving: 3,
  arrived: 4,
  /** Counts what the guest let go of: the host waits on it. */
  events: 5,
} as const;
export const HOTPLUG_WORDS = 8;
export const HOTPLUG_TAKES_PART = 1 << 31;
export const HOTPLUG_LINE_MASK = 31;

const CAPABILITY_AT = 0x40;
const CAPABILITY_BYTES = 0x14;
const VENDOR_SPECIFIC = 0x09;
const VERSION = 1;
const STATUS_CAPABILITIES = 1 << 20;
const HEADER = (VENDOR_SPECIFIC | (CAPABILITY_BYTES << 16) | (VERSION << 24)) >>> 0;
const REGISTER = { control: 0x44, present: 0x48, leaving: 0x4c, arrived: 0x50 } as const;

/** Puts the guest's own line up, if it takes part. */
export function signalHotplug(control: Int32Array): void {
  const wanted = Atomics.load(control, CTRL.hotplug + HOTPLUG_WORD.control);
  if ((wanted & HOTPLUG_TAKES_PART) !== 0) raiseInterruptLine(control, wanted & HOTPLUG_LINE_MASK);
}

export class HotplugRegisters {
  readonly #control: Int32Array;
  readonly #populated: () => number;
  readonly #reset: (slot: number) => void;

  /**
   * @param populated slots that have a function, plugged or not, a bit each
   * @param reset ends what the function of a slot does: the guest has let go of it
   */
  constructor(control: Int32Array, populated: () => number, reset: (slot: number) => void) {
    this.#control = control;
    this.#populated = populated;
    this.#reset = reset;
  }

  /** On every access of the guest's: a plain load. The vCPU itself takes functions away, and may see one late that comes. */
  isAbsent(slot: number): boolean {
    return (this.#control[CTRL.hotplug + HOTPLUG_WORD.absent]! & (1 << slot)) !== 0;
  }

  /** What the capability adds to the host bridge's configuration space; null: nothing there. */
  read(offset: number): number | null {
    if (this.#load(HOTPLUG_WORD.offered) === 0) return null;
    switch (offset) {
      case 0x04:
        return STATUS_CAPABILITIES;
      case 0x34:
        return CAPABILITY_AT;
      case CAPABILITY_AT:
        return HEADER;
      case REGISTER.control:
        return this.#load(HOTPLUG_WORD.control) >>> 0;
      case REGISTER.present:
        return (this.#populated() & ~this.#load(HOTPLUG_WORD.absent)) >>> 0;
      case REGISTER.leaving:
        return this.#load(HOTPLUG_WORD.leaving) >>> 0;
      case REGISTER.arrived:
        return this.#load(HOTPLUG_WORD.arrived) >>> 0;
      default:
        return null;
    }
  }

  write(offset: number, value: number): void {
    if (this.#load(HOTPLUG_WORD.offered) === 0) return;
    const control = this.#control;
    if (offset === REGISTER.control) {
      Atomics.store(
        control,
        CTRL.hotplug + HOTPLUG_WORD.control,
        value & (HOTPLUG_TAKES_PART | HOTPLUG_LINE_MASK),
      );
      // what was asked for before the guest could be told
      if (this.#load(HOTPLUG_WORD.leaving) !== 0 || this.#load(HOTPLUG_WORD.arrived) !== 0)
        signalHotplug(control);
    } else if (offset === REGISTER.leaving) {
      for (let slot = 1; slot < 32; slot++) if ((value & (1 << slot)) !== 0) this.#letGo(slot);
    } else if (offset === REGISTER.arrived) {
      Atomics.and(control, CTRL.hotplug + HOTPLUG_WORD.arrived, ~value);
    }
  }

  /** Only what was asked for: a request that was withdrawn meanwhile leaves the function where it is. */
  #letGo(slot: number): void {
    const control = this.#control;
    const bit = 1 << slot;
    if ((Atomics.and(control, CTRL.hotplug + HOTPLUG_WORD.leaving, ~bit) & bit) === 0) return;
    this.#reset(slot);
    Atomics.or(control, CTRL.hotplug + HOTPLUG_WORD.absent, bit);
    Atomics.add(control, CTRL.hotplug + HOTPLUG_WORD.events, 1);
    Atomics.notify(control, CTRL.hotplug + HOTPLUG_WORD.events);
  }

  #load(word: number): number {
    return Atomics.load(this.#control, CTRL.hotplug + word);
  }
}
