/**
 * A guest's receive loop with nothing in it but what every driver does: looks at descriptors, clears them, fills the same
 * buffers in again, moves the tail in batches. For figures: whatever a guest does beside it is its own affair.
 */
import type { DriverHabits, MiniDriver } from '../../plugin/conformance/mini-driver.js';
import type { TestHost } from '../../plugin/conformance/test-host.js';
import { DESCRIPTOR_BYTES, RX, rxRegister } from '../../plugin/vf82599/registers.js';

const DONE = 1;
const TAIL = rxRegister(0, RX.RDT);

export class LeanGuest {
  readonly #driver: MiniDriver;
  readonly #host: TestHost;
  readonly #habits: DriverHabits;
  #refilled = 0;
  frames = 0;

  /** @param driver is up, and does nothing from here on */
  constructor(driver: MiniDriver) {
    this.#driver = driver;
    this.#host = driver.host;
    this.#habits = driver.habits;
  }

  /** Returns the frames it took. */
  poll(budget: number): number {
    const { words } = this.#host;
    const { rxSlots, ringsAt, batch } = this.#habits;
    const queue = this.#driver.queues[0]!;
    let taken = 0;
    while (taken < budget) {
      const at = (ringsAt + queue.toClean * DESCRIPTOR_BYTES) >> 2;
      if ((words[at + 2]! & DONE) === 0) break;
      words[at] = queue.slotBuffers[queue.toClean] ?? 0;
      words[at + 1] = 0;
      words[at + 2] = 0;
      words[at + 3] = 0;
      queue.toClean = (queue.toClean + 1) % rxSlots;
      this.#refilled++;
      taken++;
    }
    if (this.#refilled >= batch) {
      this.#refilled = 0;
      // one slot stays empty: a tail that meets the head would say that none is posted
      this.#host.guestWrite(TAIL, (queue.toClean + rxSlots - 1) % rxSlots);
    }
    this.frames += taken;
    return taken;
  }
}
