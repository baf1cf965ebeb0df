/**
 * The guest's register accesses. A read is made at once; a write is noted in RAM first and carried out afterwards, in
 * order, because the hypervisor may make an access wait (for a mapping, for a tracker's turn): the vCPU then ends its
 * step there and tries again in the next one.
 *
 *   operation: reads ... then stores, writes -> noted -> carry out -> next operation
 *                |                                          '-- WouldWait: the rest later
 *                '-- WouldWait: the operation again later; it has done nothing yet
 */
import { BAR_WORD, MODE } from '../../../hypervisor/bar-map.js';
import type { SlotHandle } from '../../../hypervisor/guest-bus-view.js';
import type { GuestBus } from '../../../machine/guest-bus.js';
import { READ_NS, WouldWait, WRITE_NS } from '../simulated-bus.js';
import { MMIO_AT, MMIO_ENTRIES } from './places.js';
import type { GuestState } from './state.js';

export const WOULD_WAIT = new WouldWait();

export interface MmioHooks {
  /** Before each access. */
  point(): void;
  beforeRead(): void;
  afterWrite(): void;
}

const ENTRY_BYTES = 16;
const SLOT = 1;
const CONFIG_SPACE = 0x10;
const PAGE_SHIFT = 12;

export class Mmio {
  /** Time spent since it was last set to 0. */
  costNs = 0;
  readonly #state: GuestState;
  readonly #bus: GuestBus;
  readonly #hooks: MmioHooks;
  readonly #barWords: Int32Array;

  constructor(state: GuestState, bus: GuestBus, slot: SlotHandle, hooks: MmioHooks) {
    this.#state = state;
    this.#bus = bus;
    this.#hooks = hooks;
    this.#barWords = new Int32Array(slot.barMap);
  }

  read(offset: number): number {
    this.#hooks.point();
    this.costNs += READ_NS;
    // a page in shadow is plain memory: reading it pushes nothing
    if (Atomics.load(this.#barWords, BAR_WORD.modes + (offset >>> PAGE_SHIFT)) !== MODE.shadow) {
      this.#hooks.beforeRead();
    }
    return this.#bus.barRead(SLOT, 0, offset) | 0;
  }

  readConfig(offset: number): number {
    this.#hooks.point();
    this.costNs += READ_NS;
    return this.#bus.pciRead(SLOT, offset) | 0;
  }

  write(offset: number, value: number): void {
    this.#note(0, offset, value);
  }

  writeMsix(offset: number, value: number): void {
    this.#note(3, offset, value);
  }

  writeConfig(offset: number, value: number): void {
    this.#note(CONFIG_SPACE, offset, value);
  }

  /** Makes the writes that were noted. */
  carryOut(): void {
    const state = this.#state;
    for (let head = state.get('mmioHead'); head !== state.get('mmioTail'); head = (head + 1) % MMIO_ENTRIES) {
      state.set('mmioHead', head);
      const at = MMIO_AT + head * ENTRY_BYTES;
      this.#writeNow(state.ram.load(at), state.ram.load(at + 4), state.ram.load(at + 8));
    }
    state.set('mmioHead', state.get('mmioTail'));
  }

  #writeNow(space: number, offset: number, value: number): void {
    this.#hooks.point();
    this.costNs += WRITE_NS;
    if (space === CONFIG_SPACE) this.#bus.pciWrite(SLOT, offset, value >>> 0);
    else this.#bus.barWrite(SLOT, space, offset, value >>> 0);
    this.#hooks.afterWrite();
  }

  #note(space: number, offset: number, value: number): void {
    const state = this.#state;
    const tail = state.get('mmioTail');
    const at = MMIO_AT + tail * ENTRY_BYTES;
    state.ram.store(at, space);
    state.ram.store(at + 4, offset);
    state.ram.store(at + 8, value);
    state.set('mmioTail', (tail + 1) % MMIO_ENTRIES);
  }
}
