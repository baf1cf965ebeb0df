/**
 * Interrupt remapping: which VM (or which host driver) a function's messages go to.
 *
 *   MSI write of requester r -> routes[r] -> VM:   its interrupt line
 *                                        -> host: word++, notify                  (wakes the PF driver)
 *
 * Every thread that can make an interrupt fire (NIC worker, vCPU, PF driver, tracker core) has its own table over the same
 * shared memory, with the routes it may need; a message that no route takes is blocked and counted.
 */
import type { MsiSink } from '../hardware/pci/msi.js';
import { raiseInterruptLine } from '../machine/interrupt-lines.js';
import { CONTROL_BYTES } from '../machine/layout.js';

/** Where messages go. Structured-cloneable. */
export type InterruptTarget =
  | { readonly kind: 'vm'; readonly memory: SharedArrayBuffer; readonly controlOffset: number }
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

interface Destination {
  readonly words: Int32Array;
  /** Index of the host word, or -1: `words` is a VM's control page. */
  readonly hostIndex: number;
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
    this.#destinations[requester] =
      target.kind === 'vm'
        ? { words: new Int32Array(target.memory, target.controlOffset, CONTROL_BYTES >> 2), hostIndex: -1 }
        : { words: new Int32Array(target.words), hostIndex: target.index };
  }

  unmap(requester: number): void {
    this.#destinations[requester] = null;
  }

  deliver(requester: number, addressLow: number, addressHigh: number, data: number): void {
    const destination = this.#destinations[requester];
    const inRange = addressHigh === 0 && (addressLow & MSI_RANGE_MASK) >>> 0 === MSI_RANGE;
    if (destination === null || destination === undefined || !inRange) {
      this.blocked++;
      return;
    }
    const { words, hostIndex } = destination;
    if (hostIndex >= 0) {
      Atomics.add(words, hostIndex, 1);
      Atomics.notify(words, hostIndex);
      return;
    }
    if (data >= INTERRUPT_LINES) {
      this.blocked++;
      return;
    }
    raiseInterruptLine(words, data);
  }
}
