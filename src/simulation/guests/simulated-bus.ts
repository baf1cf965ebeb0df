/**
 * A guest's bus in virtual time, for guests that cannot leave in the middle of an access: each access is a scheduling
 * point and costs time, reads of the device push what it posted, and what the hypervisor makes wait runs the others
 * meanwhile.
 */

import type { Clock, WordWait } from '../../hardware/clock.js';
import { BAR_WORD, MODE } from '../../hypervisor/bar-map.js';
import { GuestBusView, type SlotHandle } from '../../hypervisor/guest-bus-view.js';
import type { GuestBus } from '../../machine/guest-bus.js';
import type { VirtualCore } from '../clockwork/virtual-core.js';
import { exitViewOpener } from './exit-view.js';
import { behindPostedWrites } from './message-order.js';
import type { SimulatedVcpuOptions } from './vcpu-options.js';

export const READ_NS = 400;
export const WRITE_NS = 80;
const PAGE_SHIFT = 12;
/** An access that waits for so long waits for somebody who cannot come: the main thread does not run meanwhile. */
const PATIENCE_NS = 40_000_000;

/** The hypervisor makes an access wait. */
export class WouldWait extends Error {
  constructor() {
    super('the access has to wait for the hypervisor');
    this.name = 'WouldWait';
  }
}

export interface SimulatedBusParts {
  readonly slots: readonly SlotHandle[];
  readonly control: Int32Array;
  readonly clock: Clock;
  readonly options: SimulatedVcpuOptions;
  core(): VirtualCore;
  /** The vCPU was busy with an access for so long. */
  spend(ns: number): void;
}

export class SimulatedBus implements GuestBus {
  readonly #p: SimulatedBusParts;
  readonly #bus: GuestBus;
  readonly #barWords: (Int32Array | undefined)[] = [];
  #accessBeganNs = 0;

  constructor(parts: SimulatedBusParts) {
    this.#p = parts;
    for (const { slot, barMap } of parts.slots) this.#barWords[slot] = new Int32Array(barMap);
    const wait: WordWait = (words, index, seen, limitMs) => this.#wait(words, index, seen, limitMs);
    const { slots, control, clock, options } = parts;
    const openExitView = exitViewOpener(clock, wait, options);
    const view = new GuestBusView(slots, control, clock, wait, [], openExitView);
    this.#bus = behindPostedWrites(view, parts.control, () => parts.options.beforeRead?.());
  }

  pciRead(slot: number, offset: number): number {
    this.#begin(READ_NS);
    return this.#bus.pciRead(slot, offset);
  }

  pciWrite(slot: number, offset: number, value: number): void {
    this.#begin(WRITE_NS);
    this.#bus.pciWrite(slot, offset, value);
    this.#p.options.afterWrite?.();
  }

  barRead(slot: number, bar: number, offset: number): number {
    this.#begin(READ_NS);
    const words = bar === 0 ? this.#barWords[slot] : undefined;
    const isShadow =
      words !== undefined && Atomics.load(words, BAR_WORD.modes + (offset >>> PAGE_SHIFT)) === MODE.shadow;
    // a page in shadow is plain memory: reading it pushes nothing
    if (!isShadow) this.#p.options.beforeRead?.();
    try {
      return this.#bus.barRead(slot, bar, offset);
    } catch (error) {
      if (!(error instanceof WouldWait) || words === undefined) throw error;
      // the guest polls once more, and the main thread gets its turn
      return Atomics.load(words, BAR_WORD.shadow + (offset >> 2)) >>> 0;
    }
  }

  barWrite(slot: number, bar: number, offset: number, value: number): void {
    this.#begin(WRITE_NS);
    this.#bus.barWrite(slot, bar, offset, value);
    this.#p.options.afterWrite?.();
  }

  #begin(ns: number): void {
    const { options, core, spend } = this.#p;
    options.scheduler.point(core());
    spend(ns);
    this.#accessBeganNs = options.scheduler.nowNs();
  }

  #wait(words: Int32Array, index: number, seen: number, limitMs: number): void {
    const { options, core } = this.#p;
    const { scheduler } = options;
    // for the engine, a driver reads once more: the access itself is under way and nobody may be let in
    if (!this.#barWords.some((bar) => bar?.buffer === words.buffer)) return;
    if (scheduler.nowNs() - this.#accessBeganNs > PATIENCE_NS) throw new WouldWait();
    scheduler.pumpUntil(core(), () => Atomics.load(words, index) !== seen, limitMs * 1e6);
  }
}
