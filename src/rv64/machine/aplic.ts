/**
 * The wired interrupt controller (RISC-V AIA, one S-level domain in MSI mode): a device's line becomes a message to the
 * IMSIC.
 *
 *   line -> source's mode -> pending -> [enabled, domain enabled] -> message with the target's identity; pending is cleared
 */
import { MAP, WIRED_SOURCES } from './memory-map.js';
import { type MmioDevice, RegisterBlock } from './mmio.js';
import { StateFields } from './state-fields.js';

const VERSION = 1;
const DOMAIN_FIXED = 0x8000_0000;
const DOMAIN_ENABLE = 1 << 8;
const DOMAIN_MSI = 1 << 2;
const SOURCE_MODE = 7;
const MODE = { inactive: 0, detached: 1, edgeHigh: 4, edgeLow: 5, levelHigh: 6, levelLow: 7 } as const;
/** Modes 2 and 3 are reserved: written as inactive. */
const MODES: readonly number[] = Object.values(MODE);
/** One hart: only the identity of a target can be chosen. */
const TARGET_IDENTITY = 0x7ff;

export class Aplic implements MmioDevice {
  readonly range = MAP.aplic;
  readonly #send: (identity: number) => void;
  readonly #registers: RegisterBlock;
  #domain = 0;
  #levels = 0;
  #pending = 0;
  #enabled = 0;
  readonly #modes: number[] = new Array(WIRED_SOURCES + 1).fill(MODE.inactive);
  readonly #targets: number[] = new Array(WIRED_SOURCES + 1).fill(0);

  /** @param send a message to the hart's interrupt file */
  constructor(send: (identity: number) => void) {
    this.#send = send;
    const one = (act: (source: number) => void) => (value: number) => {
      if (value >= 1 && value <= WIRED_SOURCES) act(value);
    };
    const each = (bits: number, act: (source: number) => void): void => {
      for (let source = 1; source <= WIRED_SOURCES; source++) if ((bits >>> source) & 1) act(source);
    };
    const setPending = (source: number) => this.#setPending(source);
    const clearPending = (source: number) => this.#clear('pending', source);
    const enable = (source: number) => this.#enable(source);
    const disable = (source: number) => this.#clear('enabled', source);
    this.#registers = new RegisterBlock(4, [
      {
        name: 'domaincfg',
        offset: 0x0000,
        read: () => DOMAIN_FIXED | DOMAIN_MSI | this.#domain,
        write: (value) => {
          this.#domain = value & DOMAIN_ENABLE;
          this.#deliverAll();
        },
      },
      {
        name: 'sourcecfg',
        offset: 0x0004,
        count: WIRED_SOURCES,
        read: (index) => this.#modes[index + 1]!,
        write: (value, index) => this.#configure(index + 1, value & SOURCE_MODE),
      },
      { name: 'setip', offset: 0x1c00, read: () => this.#pending, write: (value) => each(value, setPending) },
      { name: 'setipnum', offset: 0x1cdc, write: one(setPending) },
      {
        name: 'in_clrip',
        offset: 0x1d00,
        read: () => this.#rectified(),
        write: (value) => each(value, clearPending),
      },
      { name: 'clripnum', offset: 0x1ddc, write: one(clearPending) },
      { name: 'setie', offset: 0x1e00, read: () => this.#enabled, write: (value) => each(value, enable) },
      { name: 'setienum', offset: 0x1edc, write: one(enable) },
      { name: 'clrie', offset: 0x1f00, write: (value) => each(value, disable) },
      { name: 'clrienum', offset: 0x1fdc, write: one(disable) },
      { name: 'setipnum_le', offset: 0x2000, write: one(setPending) },
      { name: 'genmsi', offset: 0x3000, write: (value) => this.#send(value & TARGET_IDENTITY) },
      {
        name: 'target',
        offset: 0x3004,
        count: WIRED_SOURCES,
        read: (index) => this.#targets[index + 1]!,
        write: (value, index) => {
          this.#targets[index + 1] = value & TARGET_IDENTITY;
        },
      },
    ]);
  }

  read(offset: number): number {
    return this.#registers.read(offset);
  }

  write(offset: number, _size: number, value: number): void {
    this.#registers.write(offset, value);
  }

  /** A device's line goes up or down. */
  setLine(source: number, high: boolean): void {
    const before = this.#rectified();
    const bit = 1 << source;
    this.#levels = high ? this.#levels | bit : this.#levels & ~bit;
    const now = this.#rectified();
    if ((now & ~before & bit) !== 0) {
      this.#pending |= bit;
      this.#deliver(source);
    }
    // a level that has gone takes its pending bit along
    if ((now & bit) === 0 && this.#modes[source]! >= MODE.levelHigh) this.#pending &= ~bit;
  }

  save() {
    return {
      version: VERSION,
      domain: this.#domain,
      levels: this.#levels >>> 0,
      pending: this.#pending >>> 0,
      enabled: this.#enabled >>> 0,
      modes: [...this.#modes],
      targets: [...this.#targets],
    };
  }

  restore(value: unknown): void {
    const fields = new StateFields('interrupt controller', value, VERSION);
    const modes = fields.words('modes', WIRED_SOURCES + 1, SOURCE_MODE);
    const targets = fields.words('targets', WIRED_SOURCES + 1, TARGET_IDENTITY);
    this.#domain = fields.word('domain') & DOMAIN_ENABLE;
    this.#levels = fields.word('levels');
    this.#pending = fields.word('pending');
    this.#enabled = fields.word('enabled');
    for (let source = 1; source <= WIRED_SOURCES; source++) {
      this.#modes[source] = MODES.includes(modes[source]!) ? modes[source]! : MODE.inactive;
      this.#targets[source] = targets[source]!;
    }
  }

  /** Lines as their modes see them, 1 = active. */
  #rectified(): number {
    let active = 0;
    for (let source = 1; source <= WIRED_SOURCES; source++) {
      const mode = this.#modes[source]!;
      if (mode < MODE.edgeHigh) continue;
      const inverted = (mode & 1) !== 0;
      if (((this.#levels >>> source) & 1) !== Number(inverted)) active |= 1 << source;
    }
    return active;
  }

  #configure(source: number, mode: number): void {
    this.#modes[source] = MODES.includes(mode) ? mode : MODE.inactive;
    if (this.#modes[source] === MODE.inactive) {
      this.#clear('pending', source);
      this.#clear('enabled', source);
    } else if (mode >= MODE.levelHigh) {
      this.#setPending(source);
    }
  }

  #enable(source: number): void {
    if (this.#modes[source] === MODE.inactive) return;
    this.#enabled |= 1 << source;
    this.#deliver(source);
  }

  /** By software: a level source becomes pending only while its line is active. */
  #setPending(source: number): void {
    const mode = this.#modes[source]!;
    if (mode === MODE.inactive) return;
    if (mode >= MODE.levelHigh && ((this.#rectified() >>> source) & 1) === 0) return;
    this.#pending |= 1 << source;
    this.#deliver(source);
  }

  #clear(what: 'pending' | 'enabled', source: number): void {
    if (what === 'pending') this.#pending &= ~(1 << source);
    else this.#enabled &= ~(1 << source);
  }

  #deliver(source: number): void {
    const bit = 1 << source;
    if (this.#domain === 0 || (this.#pending & this.#enabled & bit) === 0) return;
    this.#pending &= ~bit;
    this.#send(this.#targets[source]!);
  }

  #deliverAll(): void {
    for (let source = 1; source <= WIRED_SOURCES; source++) this.#deliver(source);
  }
}
