/**
 * This process's terminal as the guest's: keys go to the guest as they are pressed, what the guest writes is printed as it
 * comes. Ctrl-A x ends the process, Ctrl-A Ctrl-A is one Ctrl-A for the guest.
 */
import type { VirtualMachine } from '../hypervisor/vm.js';

const ESCAPE = 0x01;
const QUIT_KEYS: readonly number[] = [0x78, 0x58];
/** A guest that takes nothing at the moment is asked again. */
const AGAIN_MS = 10;

export class GuestTerminal {
  readonly #vm: () => VirtualMachine | null;
  readonly #quit: () => void;
  #waiting: number[] = [];
  #escaped = false;
  #timer: NodeJS.Timeout | null = null;

  /** @param vm who types go to; null while there is none */
  constructor(vm: () => VirtualMachine | null, quit: () => void) {
    this.#vm = vm;
    this.#quit = quit;
  }

  open(): void {
    const { stdin } = process;
    if (stdin.isTTY) stdin.setRawMode(true);
    stdin.on('data', (bytes: Buffer) => this.#keys(bytes));
    stdin.resume();
  }

  close(): void {
    const { stdin } = process;
    if (stdin.isTTY) stdin.setRawMode(false);
    if (this.#timer !== null) clearTimeout(this.#timer);
    stdin.pause();
  }

  print(bytes: Uint8Array): void {
    process.stdout.write(bytes);
  }

  #keys(bytes: Uint8Array): void {
    for (const key of bytes) {
      if (this.#escaped) {
        this.#escaped = false;
        if (QUIT_KEYS.includes(key)) this.#quit();
        else this.#waiting.push(key);
      } else if (key === ESCAPE) {
        this.#escaped = true;
      } else {
        this.#waiting.push(key);
      }
    }
    this.#send();
  }

  #send(): void {
    this.#timer = null;
    const state = this.#vm()?.state.kind;
    const takes = state === 'running' || state === 'paused';
    const taken = takes ? this.#vm()!.typeIn(Uint8Array.from(this.#waiting)) : 0;
    this.#waiting = this.#waiting.slice(taken);
    if (this.#waiting.length > 0) this.#timer = setTimeout(() => this.#send(), AGAIN_MS);
  }
}
