/**
 * The guest's terminal: three ways in which a guest may write to it, and what comes in goes where the guest last wrote.
 */
import { StateFields } from './state-fields.js';

const VERSION = 1;

export interface ConsoleDevice {
  /** Returns how many bytes there was room for. */
  receive(bytes: Uint8Array): number;
}

/** Devices that can receive, in the order of their numbers in a saved state. */
export const CONSOLE_DEVICES = ['uart', 'virtio'] as const;
export type ConsoleName = (typeof CONSOLE_DEVICES)[number];

/** What waits for a guest that takes nothing. */
const MOST_WAITING_BYTES = 65536;

export class ConsolePort {
  readonly #out: (bytes: Uint8Array) => void;
  readonly #devices: (name: ConsoleName) => ConsoleDevice;
  #active: ConsoleName | null = null;
  #waiting: Uint8Array = new Uint8Array(0);

  constructor(out: (bytes: Uint8Array) => void, devices: (name: ConsoleName) => ConsoleDevice) {
    this.#out = out;
    this.#devices = devices;
  }

  /** The guest wrote, through a device that can also receive, or through the SBI (null). */
  write(bytes: Uint8Array, from: ConsoleName | null): void {
    if (from !== null) this.#active = from;
    this.#out(bytes);
  }

  /** From the terminal. What is too much is lost, as on a serial line. */
  input(bytes: Uint8Array): void {
    const room = MOST_WAITING_BYTES - this.#waiting.length;
    this.#waiting = Buffer.concat([this.#waiting, bytes.subarray(0, room)]);
    this.pump();
  }

  /** Hands on what the active device had no room for. */
  pump(): void {
    if (this.#waiting.length === 0 || this.#active === null) return;
    this.#waiting = this.#waiting.slice(this.#devices(this.#active).receive(this.#waiting));
  }

  /** For a guest that asks through the SBI. */
  take(most: number): Uint8Array {
    const taken = this.#waiting.slice(0, most);
    this.#waiting = this.#waiting.slice(taken.length);
    return taken;
  }

  save() {
    const active = this.#active === null ? 0 : 1 + CONSOLE_DEVICES.indexOf(this.#active);
    return { version: VERSION, active, waiting: this.#waiting };
  }

  restore(value: unknown): void {
    const fields = new StateFields('terminal', value, VERSION);
    this.#active = [null, ...CONSOLE_DEVICES][fields.integer('active', 0, CONSOLE_DEVICES.length)] ?? null;
    this.#waiting = fields.bytes('waiting', MOST_WAITING_BYTES);
  }
}
