/**
 * A 16550A serial port that sends at once and receives from a bounded queue.
 *
 *   guest -> THR -> sink                     host -> queue -> RBR, "data ready" interrupt
 */
import { MAP } from './memory-map.js';
import { type MmioDevice, RegisterBlock } from './mmio.js';
import { StateFields } from './state-fields.js';

const VERSION = 1;
const IER = { received: 1, sent: 2 } as const;
const IIR = { none: 1, sent: 2, received: 4, fifos: 0xc0 } as const;
const LCR_DIVISOR = 0x80;
const MCR_LOOPBACK = 0x10;
const FCR = { enable: 1, clearReceived: 2 } as const;
const LSR = { ready: 1, sendEmpty: 0x60 } as const;
/** Clear to send, data set ready, carrier. */
const MSR_CONNECTED = 0xb0;
/** What the guest has not taken yet; more is refused. */
const QUEUE_BYTES = 4096;

export interface UartPorts {
  /** A byte that the guest sent. */
  send(byte: number): void;
  /** The interrupt line. */
  setLine(high: boolean): void;
}

export class Uart implements MmioDevice {
  readonly range = MAP.uart;
  readonly #ports: UartPorts;
  readonly #registers: RegisterBlock;
  #received: number[] = [];
  #enabled = 0;
  #fifos = 0;
  #lineControl = 3;
  #modemControl = 0;
  #scratch = 0;
  #divisor = 12;
  /** The transmitter became empty, and the guest has not been told since. */
  #sentUntold = false;

  constructor(ports: UartPorts) {
    this.#ports = ports;
    const divisor = () => (this.#lineControl & LCR_DIVISOR) !== 0;
    this.#registers = new RegisterBlock(1, [
      {
        name: 'RBR THR DLL',
        offset: 0,
        read: () => (divisor() ? this.#divisor & 0xff : this.#take()),
        write: (value) => {
          if (divisor()) this.#divisor = (this.#divisor & 0xff00) | value;
          else this.#transmit(value);
        },
      },
      {
        name: 'IER DLM',
        offset: 1,
        read: () => (divisor() ? this.#divisor >> 8 : this.#enabled),
        write: (value) => {
          if (divisor()) {
            this.#divisor = (this.#divisor & 0xff) | (value << 8);
            return;
          }
          if ((value & ~this.#enabled & IER.sent) !== 0) this.#sentUntold = true;
          this.#enabled = value & 0x0f;
        },
      },
      {
        name: 'IIR FCR',
        offset: 2,
        read: () => this.#identify(),
        write: (value) => {
          this.#fifos = value & FCR.enable;
          if ((value & FCR.clearReceived) !== 0) this.#received = [];
        },
      },
      {
        name: 'LCR',
        offset: 3,
        read: () => this.#lineControl,
        write: (value) => (this.#lineControl = value),
      },
      {
        name: 'MCR',
        offset: 4,
        read: () => this.#modemControl,
        write: (value) => (this.#modemControl = value & 0x1f),
      },
      {
        name: 'LSR',
        offset: 5,
        read: () => LSR.sendEmpty | (this.#received.length > 0 ? LSR.ready : 0),
      },
      { name: 'MSR', offset: 6, read: () => this.#modemStatus() },
      { name: 'SCR', offset: 7, read: () => this.#scratch, write: (value) => (this.#scratch = value) },
    ]);
  }

  read(offset: number): number {
    const value = this.#registers.read(offset);
    this.#update();
    return value;
  }

  write(offset: number, _size: number, value: number): void {
    this.#registers.write(offset, value & 0xff);
    this.#update();
  }

  /** Bytes from outside; returns how many there was room for. */
  receive(bytes: Uint8Array): number {
    const fits = Math.min(bytes.length, QUEUE_BYTES - this.#received.length);
    for (let i = 0; i < fits; i++) this.#received.push(bytes[i]!);
    this.#update();
    return fits;
  }

  save() {
    return {
      version: VERSION,
      received: Uint8Array.from(this.#received),
      enabled: this.#enabled,
      fifos: this.#fifos,
      lineControl: this.#lineControl,
      modemControl: this.#modemControl,
      scratch: this.#scratch,
      divisor: this.#divisor,
      sentUntold: this.#sentUntold,
    };
  }

  restore(value: unknown): void {
    const fields = new StateFields('serial port', value, VERSION);
    this.#received = [...fields.bytes('received', QUEUE_BYTES)];
    this.#enabled = fields.integer('enabled', 0, 0x0f);
    this.#fifos = fields.integer('fifos', 0, 1);
    this.#lineControl = fields.byte('lineControl');
    this.#modemControl = fields.integer('modemControl', 0, 0x1f);
    this.#scratch = fields.byte('scratch');
    this.#divisor = fields.integer('divisor', 0, 0xffff);
    this.#sentUntold = fields.flag('sentUntold');
    this.#update();
  }

  #take(): number {
    return this.#received.shift() ?? 0;
  }

  #transmit(byte: number): void {
    if ((this.#modemControl & MCR_LOOPBACK) !== 0) {
      this.receive(Uint8Array.of(byte));
    } else {
      this.#ports.send(byte);
    }
    this.#sentUntold = true;
  }

  #cause(): number {
    if ((this.#enabled & IER.received) !== 0 && this.#received.length > 0) return IIR.received;
    if ((this.#enabled & IER.sent) !== 0 && this.#sentUntold) return IIR.sent;
    return IIR.none;
  }

  /** Reading it answers "sent". */
  #identify(): number {
    const cause = this.#cause();
    if (cause === IIR.sent) this.#sentUntold = false;
    return cause | (this.#fifos !== 0 ? IIR.fifos : 0);
  }

  #modemStatus(): number {
    if ((this.#modemControl & MCR_LOOPBACK) === 0) return MSR_CONNECTED;
    const control = this.#modemControl;
    // in loopback RTS, DTR, OUT1 and OUT2 come back as CTS, DSR, RI and DCD
    return ((control & 2) << 3) | ((control & 1) << 5) | ((control & 0x0c) << 4);
  }

  #update(): void {
    this.#ports.setLine(this.#cause() !== IIR.none);
  }
}
