/**
 * The page that the guest's driver and this plugin share, the hypervisor's side of it. Words of 32 bits:
 *
 *   0 magic   1 lock: bit 31 this side writes, below it the driver's readers   2 version   3 restored so often
 *   4, 5 turns of queue 0, 1 that left its rings empty    6 registers to migrate    7 counters to self-emulate
 *   16..     offsets of the registers to migrate
 *   128..    counters, 4 words each: low register, high register (0: none), and what was counted before, low and high
 *
 * It is the guest's memory: everything read from it is checked.
 */
import type { DeviceContext } from 'srvm/plugin';

/** The vendor message by which the driver says where the page is: type, address, layout. */
export const REGISTER_PAGE = 0x60;
const LAYOUT = 1;
const MAGIC = 0x4353_4331;
const PAGE_BYTES = 4096;
const WORD = { magic: 0, lock: 1, version: 2, restored: 3, turns: 4, registers: 6, counters: 7 } as const;
const REGISTER_LIST = 16;
const COUNTER_LIST = 128;
const COUNTER_WORDS = 4;
export const MAX_REGISTERS = COUNTER_LIST - REGISTER_LIST;
export const MAX_COUNTERS = 16;
const WRITER = 0x8000_0000 | 0;

/** A guest without the driver, or one that does not keep its side of the protocol. */
export class GuestHelpError extends Error {
  override readonly name = 'GuestHelpError';
}

/** A statistics register, or a pair of them, of 32 or 36 bits. */
export interface Counter {
  readonly low: number;
  /** 0: none. */
  readonly high: number;
}

export class SharedPage {
  /** Guest-physical. */
  readonly address: number;
  readonly #words: Int32Array;

  /** @throws GuestHelpError when there is no such page at that address */
  constructor(context: DeviceContext, address: number) {
    const { ram } = context;
    if (address === 0 || address % PAGE_BYTES !== 0 || address > ram.bytes - PAGE_BYTES) {
      throw new GuestHelpError(
        `the guest's driver shares a page at 0x${address.toString(16)}: not in its RAM`,
      );
    }
    this.address = address;
    this.#words = ram.i32.subarray(address / 4, (address + PAGE_BYTES) / 4);
    if (this.#words[WORD.magic] !== MAGIC) {
      throw new GuestHelpError(
        `the page at 0x${address.toString(16)} is not the one that CompSC's driver makes`,
      );
    }
  }

  /** The page that the driver has registered. */
  static registered(context: DeviceContext): SharedPage {
    const message = context.guest.lastMessage(REGISTER_PAGE);
    if (message === null) {
      throw new GuestHelpError(
        "the guest's driver has registered no page: CompSC needs an image with its driver (udp-echo-compsc, for one)",
      );
    }
    if (message[2] !== LAYOUT) {
      throw new GuestHelpError(
        `the guest's driver speaks layout ${message[2]} of the page, this plugin ${LAYOUT}`,
      );
    }
    return new SharedPage(context, message[1]!);
  }

  get pageNumber(): number {
    return this.address / PAGE_BYTES;
  }

  /** Offsets of the registers that the driver wants migrated. */
  registers(): number[] {
    const count = this.#count(WORD.registers, MAX_REGISTERS);
    return Array.from({ length: count }, (_, i) => this.#words[REGISTER_LIST + i]! >>> 0);
  }

  counters(): Counter[] {
    const count = this.#count(WORD.counters, MAX_COUNTERS);
    return Array.from({ length: count }, (_, i) => {
      const at = COUNTER_LIST + i * COUNTER_WORDS;
      return { low: this.#words[at]! >>> 0, high: this.#words[at + 1]! >>> 0 };
    });
  }

  /** What was counted on earlier cards. */
  before(index: number): number {
    const at = COUNTER_LIST + index * COUNTER_WORDS + 2;
    return (this.#words[at]! >>> 0) + (this.#words[at + 1]! & 0xf) * 2 ** 32;
  }

  setBefore(index: number, value: number): void {
    const at = COUNTER_LIST + index * COUNTER_WORDS + 2;
    this.#words[at] = value | 0;
    this.#words[at + 1] = Math.floor(value / 2 ** 32);
  }

  /** Turns of a queue after which its rings were empty. */
  turns(queue: number): number {
    return Atomics.load(this.#words, WORD.turns + queue);
  }

  /** From now on no new operation of the driver's begins. */
  closeForReaders(): void {
    Atomics.or(this.#words, WORD.lock, WRITER);
  }

  /** Operations that are under way. */
  get readers(): number {
    return Atomics.load(this.#words, WORD.lock) & ~WRITER;
  }

  get isClosed(): boolean {
    return (Atomics.load(this.#words, WORD.lock) & WRITER) !== 0;
  }

  open(): void {
    Atomics.and(this.#words, WORD.lock, ~WRITER);
  }

  /** The driver restores its card before it does anything else. */
  raiseVersion(): void {
    Atomics.add(this.#words, WORD.version, 1);
  }

  #count(word: number, most: number): number {
    const count = this.#words[word]! >>> 0;
    if (count > most) throw new GuestHelpError(`the guest's driver lists ${count} entries: ${most} at most`);
    return count;
  }
}
