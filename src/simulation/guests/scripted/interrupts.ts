/**
 * The scripted guest's interrupts: three vectors, one for each queue pair and one for the mailbox; masked, moderated and
 * armed by habit. A completion whose interrupt is armed must bring one.
 */
import { VF } from '../../../hardware/nic/offsets.js';
import type { Character } from './character.js';
import { count } from './counters.js';
import type { Mmio } from './mmio.js';
import type { GuestState } from './state.js';

const VECTORS = 3;
const ALL = 7;
const OTHER_VECTOR = 2;
const ENTRY_VALID = 0x80;
const MSIX_ENTRY_BYTES = 16;
const MSI_ADDRESS = 0xfee0_0000;
/** VTEITR counts in units of 2 us from bit 3 on; bit 31: do not disturb the running interval. */
const INTERVAL_SHIFT = 3;
const INTERVAL_UNIT_US = 2;
const NO_DISTURB = 0x8000_0000 | 0;

export class Interrupts {
  readonly #state: GuestState;
  readonly #mmio: Mmio;
  readonly #character: Character;

  constructor(state: GuestState, mmio: Mmio, character: Character) {
    this.#state = state;
    this.#mmio = mmio;
    this.#character = character;
  }

  get areArmed(): boolean {
    return this.#state.get('masked') === 0;
  }

  /** Message v raises line v. */
  route(): void {
    const mmio = this.#mmio;
    for (let vector = 0; vector < VECTORS; vector++) {
      const entry = vector * MSIX_ENTRY_BYTES;
      mmio.writeMsix(entry, MSI_ADDRESS);
      mmio.writeMsix(entry + 4, 0);
      mmio.writeMsix(entry + 8, vector);
      mmio.writeMsix(entry + 12, 0);
    }
    const pair = (vector: number): number => (ENTRY_VALID | vector) * 0x0101;
    mmio.write(VF.VTIVAR, pair(0) | (pair(1) << 16));
    mmio.write(VF.VTIVAR_MISC, ENTRY_VALID | OTHER_VECTOR);
    for (let vector = 0; vector < VECTORS; vector++) this.moderate(vector);
    mmio.write(VF.VTEIAC, ALL);
    mmio.write(VF.VTEIAM, this.#character.autoMask ? ALL : 0);
    this.#state.set('masked', ALL);
  }

  moderate(vector = this.#state.int(VECTORS)): void {
    const us = this.#state.pick(this.#character.moderationUs);
    this.#mmio.write(VF.VTEITR + 4 * vector, ((us / INTERVAL_UNIT_US) << INTERVAL_SHIFT) | NO_DISTURB);
  }

  unmask(): void {
    this.#mmio.write(VF.VTEIMS, ALL);
    this.#state.set('masked', 0);
  }

  mask(): void {
    this.#mmio.write(VF.VTEIMC, ALL);
    this.#state.set('masked', ALL);
    count(this.#state, 'interrupt-masked');
  }

  /** Makes the card raise vectors by itself. */
  provoke(): void {
    this.#mmio.write(VF.VTEICS, this.#state.between(1, ALL));
  }

  /** These lines were raised. */
  taken(lines: number): void {
    const state = this.#state;
    count(state, 'interrupts');
    state.set('silentWaits', 0);
    state.set('sleptEmpty', 0);
    if (this.#character.autoMask) state.set('masked', state.get('masked') | (lines & ALL));
  }
}
