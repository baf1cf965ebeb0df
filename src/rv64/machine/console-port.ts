/**
 * The guest's terminal: three ways in which a guest may write to it, and what comes in goes where the guest last wrote.
 */
export interface ConsoleDevice {
  /** Returns how many bytes there was room for. */
  receive(bytes: Uint8Array): number;
}

/** What waits for a guest that takes nothing. */
const MOST_WAITING_BYTES = 65536;

export class ConsolePort {
  readonly #out: (bytes: Uint8Array) => void;
  #active: ConsoleDevice | null = null;
  #waiting: Uint8Array = new Uint8Array(0);

  constructor(out: (bytes: Uint8Array) => void) {
    this.#out = out;
  }

  /** The guest wrote, through a device that can also receive, or through the SBI (null). */
  write(bytes: Uint8Array, from: ConsoleDevice | null): void {
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
    this.#waiting = this.#waiting.slice(this.#active.receive(this.#waiting));
  }

  /** For a guest that asks through the SBI. */
  take(most: number): Uint8Array {
    const taken = this.#waiting.slice(0, most);
    this.#waiting = this.#waiting.slice(taken.length);
    return taken;
  }
}
