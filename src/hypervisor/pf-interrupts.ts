/**
 * The PF's interrupts on the main thread: the host word that the PF's messages increment wakes this loop, which asks the
 * card what happened and has it handled.
 *
 *   sleep on the host word -> read EICR (clears it) -> mailbox, VF resets -> link change -> sleep
 */
import { EICR, EICR_LSC } from '../hardware/nic/offsets.js';
import type { HostThreads } from './host-threads.js';
import type { MailboxService } from './mailbox-service.js';
import type { PfDriver } from './pf-driver.js';

/** How soon to look again at a mailbox whose VF holds the buffer. */
const BUSY_RETRY_MS = 1;

export interface PfListener {
  onLink(up: boolean): void;
  /** The PF driver failed at what it was asked; it goes on. */
  onFault(error: Error): void;
}

export class PfInterrupts {
  /** SharedArrayBuffer of the host word, index 0: the target of the PF's interrupt route. */
  readonly words = new SharedArrayBuffer(8);
  readonly #host = new Int32Array(this.words);
  readonly #driver: PfDriver;
  readonly #mailboxes: MailboxService;
  readonly #threads: HostThreads;
  readonly #listener: PfListener;
  #linkUp = false;
  #stopped = false;
  #cancelRetry: (() => void) | null = null;

  constructor(driver: PfDriver, mailboxes: MailboxService, threads: HostThreads, listener: PfListener) {
    this.#driver = driver;
    this.#mailboxes = mailboxes;
    this.#threads = threads;
    this.#listener = listener;
  }

  start(): void {
    void this.#run();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelRetry?.();
    Atomics.add(this.#host, 0, 1);
    Atomics.notify(this.#host, 0);
  }

  /** Handles at once what waits; for callers that cannot wait for the loop. */
  handle(): void {
    const causes = this.#driver.bar.read32(0, EICR);
    // whatever the cause bits say: a mailbox that was busy the last time has raised no new one
    const busy = this.#mailboxes.service();
    if ((causes & EICR_LSC) !== 0) this.#handleLink();
    if (busy && this.#cancelRetry === null && !this.#stopped) {
      this.#cancelRetry = this.#threads.timers.after(BUSY_RETRY_MS, () => {
        this.#cancelRetry = null;
        this.#handleSafely();
      });
    }
  }

  /** A fault of the PF driver's must not end the process that the guests live in. */
  #handleSafely(): void {
    try {
      this.handle();
    } catch (error) {
      this.#listener.onFault(error as Error);
    }
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const seen = Atomics.load(this.#host, 0);
      this.#handleSafely();
      await this.#threads.whenChanged(this.#host, 0, seen);
    }
  }

  #handleLink(): void {
    const up = this.#driver.linkUp;
    if (up === this.#linkUp) return;
    this.#linkUp = up;
    this.#mailboxes.pingAll();
    this.#listener.onLink(up);
  }
}
