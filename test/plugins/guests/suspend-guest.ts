/** The guest's half of suspend and resume, on the conformance kit's driver. */
import { VF_STATE, VF_STATE_MESSAGE, VF_STATE_PROTOCOL } from '../../../src/hypervisor/vf-state.js';
import type { GuestHalf, MiniDriver } from '../../../src/plugin/conformance/index.js';
import { ENABLE, TX, txRegister } from '../../../src/plugin/vf82599/registers.js';

const GRANTED = 0x8000_0000;

export class SuspendGuest implements GuestHalf {
  readonly #driver: MiniDriver;
  #isSuspended = false;

  constructor(driver: MiniDriver) {
    this.#driver = driver;
    this.#register();
    this.#listen();
  }

  serve(): void {
    this.#listen();
    if (!this.#isSuspended) this.#driver.clean();
  }

  /** On the host that it is on. */
  #listen(): void {
    this.#driver.host.onGuestRequest ??= (words) => {
      this.#obey(words[1]!);
      return [(VF_STATE_MESSAGE | GRANTED) >>> 0, words[1]!];
    };
  }

  #obey(command: number): void {
    const driver = this.#driver;
    if (command === VF_STATE.suspend && !this.#isSuspended) {
      driver.stopRx(0);
      const control = txRegister(0, TX.TXDCTL);
      driver.host.guestWrite(control, 0);
      driver.poll('the Tx queue to stop', () => (driver.host.guestRead(control) & ENABLE) === 0);
      // what came last is looked at, and so written to
      while (driver.clean() > 0);
      this.#isSuspended = true;
    } else if (command === VF_STATE.resume && this.#isSuspended) {
      this.#isSuspended = false;
      driver.host.guestReset();
      this.#register();
      driver.up();
    }
  }

  #register(): void {
    const words = [VF_STATE_MESSAGE, VF_STATE_PROTOCOL, ...new Array<number>(14).fill(0)];
    this.#driver.host.driver.vf(0).vendorMessages.set(VF_STATE_MESSAGE, words);
  }
}
