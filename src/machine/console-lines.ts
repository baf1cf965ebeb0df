/**
 * Gathers a guest's console bytes into lines.
 */

/** A guest that never ends its line cannot make the monitor hold more than this. */
const MAX_LINE_BYTES = 1024;
const NEWLINE = 10;

export class ConsoleLines {
  readonly #bytes = new Uint8Array(MAX_LINE_BYTES);
  readonly #onLine: (line: string) => void;
  readonly #decoder = new TextDecoder();
  #length = 0;

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  write(byte: number): void {
    if (byte === NEWLINE) {
      this.#emit();
      return;
    }
    if (this.#length === MAX_LINE_BYTES) this.#emit();
    this.#bytes[this.#length++] = byte;
  }

  /** Emits what there is of an unfinished line. */
  flush(): void {
    if (this.#length > 0) this.#emit();
  }

  #emit(): void {
    const line = this.#decoder.decode(this.#bytes.subarray(0, this.#length));
    this.#length = 0;
    this.#onLine(line);
  }
}
