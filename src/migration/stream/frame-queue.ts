/**
 * Frames between the link, which delivers when it likes, and an engine, which asks when it is ready. After a failure
 * everything that had arrived is still handed out, then the failure, again and again.
 */

/** A frame that owns its bytes. */
export interface ReceivedFrame {
  readonly type: number;
  readonly payload: Uint8Array;
}

export class FrameQueue {
  readonly #frames: ReceivedFrame[] = [];
  #asking: { resolve(frame: ReceivedFrame): void; reject(error: Error): void } | null = null;
  #error: Error | null = null;

  get failure(): Error | null {
    return this.#error;
  }

  push(frame: ReceivedFrame): void {
    this.#frames.push(frame);
    this.#serve();
  }

  /** The first failure counts. */
  fail(error: Error): void {
    this.#error ??= error;
    this.#serve();
  }

  /** One asker at a time; a later one takes the earlier one's place. */
  next(): Promise<ReceivedFrame> {
    return new Promise((resolve, reject) => {
      this.#asking = { resolve, reject };
      this.#serve();
    });
  }

  #serve(): void {
    const asking = this.#asking;
    if (!asking) return;
    const frame = this.#frames.shift();
    if (frame) asking.resolve(frame);
    else if (this.#error) asking.reject(this.#error);
    else return;
    this.#asking = null;
  }
}
