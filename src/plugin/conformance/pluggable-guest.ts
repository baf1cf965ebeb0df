/** A guest that takes part in hot-plug: its VF's driver lets go of the VF when it is asked to, and takes the next one. */
import { ENABLE, RX, rxRegister, TX, txRegister } from '../vf82599/registers.js';
import type { MiniDriver } from './mini-driver.js';
import { TEST_SLOT } from './test-host.js';

const LINE = 24;
const BIT = 1 << TEST_SLOT;
const REGISTER = { control: 0x44, leaving: 0x4c, arrived: 0x50 } as const;
const TAKES_PART = 0x8000_0000;

export class PluggableGuest {
  readonly #driver: MiniDriver;
  /** Whether it answers when it is asked to let go. */
  isWilling = true;
  /** Times that it let go. */
  letGo = 0;

  constructor(driver: MiniDriver) {
    this.#driver = driver;
    driver.host.bridgeWrite(REGISTER.control, TAKES_PART + LINE);
  }

  /** Its turn: what the hot-plug line tells. */
  serve(): void {
    const { host } = this.#driver;
    if ((host.takeHotplugLines() & (1 << LINE)) === 0) return;
    const arrived = host.bridgeRead(REGISTER.arrived);
    if (arrived !== 0) {
      host.bridgeWrite(REGISTER.arrived, arrived);
      host.guestReset();
      this.#driver.up();
    }
    if ((host.bridgeRead(REGISTER.leaving) & BIT) !== 0 && this.isWilling) this.#release();
  }

  #release(): void {
    const driver = this.#driver;
    driver.stopRx(0);
    const control = txRegister(0, TX.TXDCTL);
    driver.host.guestWrite(control, 0);
    driver.poll('its queues to stop', () => (driver.host.guestRead(control) & ENABLE) === 0);
    driver.host.bridgeWrite(REGISTER.leaving, BIT);
    this.letGo++;
  }

  /** Whether its accesses still reach a VF. */
  get hasVf(): boolean {
    const { host } = this.#driver;
    const isEmpty =
      host.configRead(0) === 0xffff_ffff && host.guestRead(rxRegister(0, RX.RXDCTL)) === 0xffff_ffff;
    return !isEmpty;
  }
}
