/**
 * The wall clock (goldfish RTC): nanoseconds since 1970 in two halves, and an alarm.
 */
import { MAP } from './memory-map.js';
import { type MmioDevice, RegisterBlock } from './mmio.js';
import { StateFields } from './state-fields.js';

const VERSION = 1;
const low = (value: bigint): number => Number(value & 0xffff_ffffn);
const high = (value: bigint): number => Number((value >> 32n) & 0xffff_ffffn);
const both = (lowHalf: number, highHalf: number): bigint => (BigInt(highHalf) << 32n) | BigInt(lowHalf);

export interface RtcPorts {
  /** The host's wall clock, ns since 1970. */
  wallNs(): bigint;
  setLine(high: boolean): void;
}

export class Rtc implements MmioDevice {
  readonly range = MAP.rtc;
  readonly #ports: RtcPorts;
  readonly #registers: RegisterBlock;
  /** The guest's wall clock minus the host's. */
  #offsetNs = 0n;
  /** Of the time that the low half was read. */
  #latchedHigh = 0;
  #alarmHigh = 0;
  #alarmNs: bigint | null = null;
  #enabled = false;
  #pending = false;

  constructor(ports: RtcPorts) {
    this.#ports = ports;
    let timeHigh = 0;
    this.#registers = new RegisterBlock(4, [
      {
        name: 'TIME_LOW',
        offset: 0x00,
        read: () => {
          const now = this.#nowNs();
          this.#latchedHigh = high(now);
          return low(now);
        },
        write: (value) => {
          this.#offsetNs = both(value, timeHigh) - this.#ports.wallNs();
        },
      },
      {
        name: 'TIME_HIGH',
        offset: 0x04,
        read: () => this.#latchedHigh,
        // written before the low half
        write: (value) => (timeHigh = value),
      },
      {
        name: 'ALARM_LOW',
        offset: 0x08,
        read: () => low(this.#alarmNs ?? 0n),
        write: (value) => {
          this.#alarmNs = both(value, this.#alarmHigh);
          this.poll();
        },
      },
      {
        name: 'ALARM_HIGH',
        offset: 0x0c,
        read: () => high(this.#alarmNs ?? 0n),
        write: (value) => (this.#alarmHigh = value),
      },
      {
        name: 'IRQ_ENABLED',
        offset: 0x10,
        read: () => Number(this.#enabled),
        write: (value) => {
          this.#enabled = (value & 1) !== 0;
          this.#update();
        },
      },
      { name: 'CLEAR_ALARM', offset: 0x14, write: () => (this.#alarmNs = null) },
      { name: 'ALARM_STATUS', offset: 0x18, read: () => Number(this.#alarmNs !== null) },
      {
        name: 'CLEAR_INTERRUPT',
        offset: 0x1c,
        write: () => {
          this.#pending = false;
          this.#update();
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

  /** Fires an alarm whose time has come. */
  poll(): void {
    if (this.#alarmNs === null || this.#nowNs() < this.#alarmNs) return;
    this.#alarmNs = null;
    this.#pending = true;
    this.#update();
  }

  save() {
    return {
      version: VERSION,
      offsetLow: low(this.#offsetNs),
      offsetHigh: high(this.#offsetNs),
      latchedHigh: this.#latchedHigh,
      alarmHigh: this.#alarmHigh,
      alarmSet: this.#alarmNs !== null,
      alarmLow: low(this.#alarmNs ?? 0n),
      alarmTop: high(this.#alarmNs ?? 0n),
      enabled: this.#enabled,
      pending: this.#pending,
    };
  }

  restore(value: unknown): void {
    const fields = new StateFields('real-time clock', value, VERSION);
    this.#offsetNs = BigInt.asIntN(64, both(fields.word('offsetLow'), fields.word('offsetHigh')));
    this.#latchedHigh = fields.word('latchedHigh');
    this.#alarmHigh = fields.word('alarmHigh');
    const alarm = both(fields.word('alarmLow'), fields.word('alarmTop'));
    this.#alarmNs = fields.flag('alarmSet') ? alarm : null;
    this.#enabled = fields.flag('enabled');
    this.#pending = fields.flag('pending');
    this.#update();
  }

  #nowNs(): bigint {
    return this.#ports.wallNs() + this.#offsetNs;
  }

  #update(): void {
    this.#ports.setLine(this.#enabled && this.#pending);
  }
}
