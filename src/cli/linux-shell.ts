/**
 * The shell on a Linux guest's terminal, as a person would use it: a command is typed, what it prints is read, and its exit
 * status asked for. Works across migrations: typing goes to wherever the guest is, and lines come from there.
 */
import { sleep } from './lab.js';

export interface Terminal {
  /** Returns how many bytes were taken. */
  type(text: string): Promise<number> | number;
  /** Everything printed so far. */
  text(): string;
}

export interface CommandResult {
  readonly status: number;
  readonly output: string;
}

const LOOK_EVERY_MS = 50;
const PROMPT = ':/# ';

/** The guest did not do what was asked of it in time. */
export class LinuxShellError extends Error {
  override readonly name = 'LinuxShellError';
}

export class LinuxShell {
  readonly #name: string;
  readonly #terminal: Terminal;
  readonly #lookEveryMs: number;
  #commands = 0;

  /** @param lookEveryMs how late the end of a command is noticed at worst. */
  constructor(name: string, terminal: Terminal, lookEveryMs = LOOK_EVERY_MS) {
    this.#name = name;
    this.#lookEveryMs = lookEveryMs;
    this.#terminal = terminal;
  }

  /** Until the shell asks for its first command. */
  booted(patienceMs = 120_000): Promise<void> {
    return this.#until("the shell's prompt", patienceMs, () => this.#terminal.text().includes(PROMPT));
  }

  /** Types a command and waits until it has ended. */
  async run(command: string, patienceMs = 60_000): Promise<CommandResult> {
    const end = await this.start(command);
    return end(patienceMs);
  }

  /** Types a command and goes on; the result is what waits for its end. */
  async start(command: string): Promise<(patienceMs?: number) => Promise<CommandResult>> {
    const number = ++this.#commands;
    const from = this.#terminal.text().length;
    // computed by the shell, so that the echo of what is typed does not look like it
    await this.#type(`${command}; echo end-$((${number}+1000))-$?\n`);
    const marker = new RegExp(`end-${number + 1000}-(\\d+)`);
    return async (patienceMs = 60_000) => {
      await this.#until(`'${command}'`, patienceMs, () => marker.test(this.#terminal.text().slice(from)));
      const printed = this.#terminal.text().slice(from);
      const found = marker.exec(printed)!;
      return { status: Number(found[1]), output: printed.slice(0, found.index) };
    };
  }

  async #type(text: string): Promise<void> {
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; ) {
      const taken = await this.#terminal.type(bytes.subarray(at).toString());
      at += taken;
      if (at < bytes.length) await sleep(this.#lookEveryMs);
    }
  }

  async #until(what: string, patienceMs: number, done: () => boolean): Promise<void> {
    for (let waitedMs = 0; !done(); waitedMs += this.#lookEveryMs) {
      if (waitedMs > patienceMs) {
        const last = this.#terminal.text().split('\n').slice(-12).join('\n');
        throw new LinuxShellError(`${this.#name} has not got to ${what} within ${patienceMs} ms:\n${last}`);
      }
      await sleep(this.#lookEveryMs);
    }
  }
}
