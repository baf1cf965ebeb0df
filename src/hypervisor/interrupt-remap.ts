/**
 * Interrupt remapping: which VM (or which host driver) a function's messages go to.
 *
 *   MSI write of requester r -> routes[r] -> VM:   its interrupt line, or its interrupt file
 *                                        -> host: word++, notify                  (wakes the PF driver)
 *
 * Every thread that can make an interrupt fire (NIC worker, vCPU, PF driver, tracker core) has its own table over the same
 * shared memory, with the routes it may need; a message that no route takes is blocked and counted.
 */
import type { MsiSink } from '../hardware/pci/msi.js';
import { raiseInterruptLine, wakeVcpu } from '../machine/interrupt-lines.js';
import { CONTROL_BYTES } from '../machine/layout.js';

/** Where messages go. Structured-cloneable. */
export type InterruptTarget =
  | { readonly kind: 'vm'; readonly memory: SharedArrayBuffer; readonly controlOffset: number }
  /** A riscv64 guest's: messages to `address` set the identity that is their data. */
  | {
      readonly kind: 'interrupt-file';
      readonly memory: SharedArrayBuffer;
      readonly controlOffset: number;
      /** Pending bits, 32 to a word. */
      readonly pendingOffset: number;
      /** 1..identities. */
      readonly identities: number;
      readonly address: number;
    }
  | { readonly kind: 'host'; readonly words: SharedArrayBuffer; readonly index: number };

export interface InterruptRoute {
  /** 0 = the PF, 1 + n = VF n. */
  readonly requester: number;
  readonly target: InterruptTarget;
}

const REQUESTERS = 64;
/** Addresses FEExxxxx are the interrupt range, as on a PC. */
const MSI_RANGE = 0xfee0_0000;
const MSI_RANGE_MASK = 0xfff0_0000;
export const INTERRUPT_LINES = 32;

/** Takes a message, or says that it is none for it. */
type Destination = (addressLow: number, addressHigh: number, data: number) => boolean;

const isInRange = (addressLow: number, addressHigh: number): boolean =>
  addressHigh === 0 && (addressLow & MSI_RANGE_MASK) >>> 0 === MSI_RANGE;

function destinationOf(target: InterruptTarget): Destination {
  switch (target.kind) {
    case 'vm': {
      const control = new Int32Array(target.memory, target.controlOffset, CONTROL_BYTES >> 2);
      return (low, high, data) => {
        if (!isInRange(low, high) || data >= INTERRUPT_LINES) return false;
        raiseInterruptLine(control, data);
        return true;
      };
    }
    case 'interrupt-file': {
      const { memory, controlOffset, pendingOffset, identities, address } = target;
      const control = new Int32Array(memory, controlOffset, CONTROL_BYTES >> 2);
      const pending = new Int32Array(memory, pendingOffset, (identities + 1) >> 5);
      return (low, high, data) => {
        if ((high >>> 0) * 2 ** 32 + (low >>> 0) !== address || data < 1 || data > identities) return false;
        Atomics.or(pending, data >> 5, 1 << (data & 31));
        wakeVcpu(control);
        return true;
      };
    }
    case 'host': {
      const words = new Int32Array(target.words);
      return (low, high) => {
        if (!isInRange(low, high)) return false;
        Atomics.add(words, target.index, 1);
        Atomics.notify(words, target.index);
        return true;
      };
    }
  }
}

export class InterruptRemap implements MsiSink {
  /** Messages that went nowhere: no route, or an address or a vector outside the interrupt range. */
  blocked = 0;
  readonly #destinations: (Destination | null)[] = new Array(REQUESTERS).fill(null);

  constructor(routes: readonly InterruptRoute[] = []) {
    for (const route of routes) this.map(route);
  }

  map(route: InterruptRoute): void {
    const { requester, target } = route;
    if (!Number.isInteger(requester) || requester < 0 || requester >= REQUESTERS) {
      throw new RangeError(`requester ${requester}: a card has requesters 0 to ${REQUESTERS - 1}`);
    }
    this.#destinations[requester] = destinationOf(target);
  }

  unmap(requester: number): void {
    this.#destinations[requester] = null;
  }

  deliver(requester: number, addressLow: number, addressHigh: number, data: number): void {
    const destination = this.#destinations[requester];
    if (!destination?.(addressLow, addressHigh, data)) this.blocked++;
  }
}
