/**
 * What the PF asks of a VF's driver beyond the card's own protocol: one question at a time per VF, types 0x60 to 0x6f.
 *
 *   waiting --sent--> sent --acknowledged--> taken --reply--> answered
 *      ^               |
 *      '--- the VF wrote a message of its own over it, unread
 *
 * A driver answers with the type it was asked and SUCCESS or FAILURE set. The stock driver is never asked anything: a
 * message goes out only when somebody calls request().
 */
import type { TimerClock } from '../hardware/clock.js';

export const VENDOR_FIRST = 0x60;
export const VENDOR_LAST = 0x6f;
const MAILBOX_WORDS = 16;
/** The longest that anyone may wait for a guest. */
const MAX_LIMIT_MS = 60_000;

/** The driver of a VF did not answer, or cannot. */
export class GuestSilentError extends Error {
  override readonly name = 'GuestSilentError';
}

type State = 'waiting' | 'sent' | 'taken';

interface Request {
  readonly words: Uint32Array;
  state: State;
  readonly answer: (words: readonly number[]) => void;
  readonly fail: (error: GuestSilentError) => void;
}

/** Whether word 0 of a message is of a type that the card's own protocol leaves free. */
export function isVendorType(head: number): boolean {
  const type = head & 0xffff;
  return type >= VENDOR_FIRST && type <= VENDOR_LAST;
}

export class VendorRequests {
  readonly #queues: Request[][];
  readonly #timers: TimerClock;

  constructor(vfCount: number, timers: TimerClock) {
    this.#queues = Array.from({ length: vfCount }, () => []);
    this.#timers = timers;
  }

  /** @throws RangeError for words that are no vendor message */
  ask(vf: number, words: readonly number[], limitMs: number): Promise<readonly number[]> {
    if (words.length < 1 || words.length > MAILBOX_WORDS || !isVendorType(words[0]!)) {
      throw new RangeError(
        `a message to a VF's driver is 1 to ${MAILBOX_WORDS} words, the first of type 0x60 to 0x6f`,
      );
    }
    const queue = this.#queues[vf]!;
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        cancel();
        const at = queue.indexOf(request);
        if (at >= 0) queue.splice(at, 1);
      };
      const request: Request = {
        words: Uint32Array.from(words),
        state: 'waiting',
        answer: (reply) => {
          leave();
          resolve(reply);
        },
        fail: (error) => {
          leave();
          reject(error);
        },
      };
      const limit = Math.min(limitMs, MAX_LIMIT_MS);
      const cancel = this.#timers.after(limit, () => {
        const type = `0x${(words[0]! & 0xffff).toString(16)}`;
        request.fail(
          new GuestSilentError(
            `the guest's driver of VF ${vf} did not answer message ${type} within ${limit} ms: ` +
              (request.state === 'taken' ? 'it read the message' : 'it has not read the message') +
              '; does the image carry the driver that this method needs?',
          ),
        );
      });
      queue.push(request);
    });
  }

  /** What is to be sent now, or null. */
  due(vf: number): Uint32Array | null {
    const first = this.#queues[vf]![0];
    return first !== undefined && first.state === 'waiting' ? first.words : null;
  }

  sent(vf: number): void {
    this.#move(vf, 'waiting', 'sent');
  }

  /** The VF read what was last written. */
  acknowledged(vf: number): void {
    this.#move(vf, 'sent', 'taken');
  }

  /** The VF wrote a message of its own: one that it had not read is gone. */
  overwritten(vf: number): void {
    this.#move(vf, 'sent', 'waiting');
  }

  /** False: nobody had asked. */
  answered(vf: number, reply: readonly number[]): boolean {
    const first = this.#queues[vf]![0];
    if (first === undefined || (first.words[0]! & 0xffff) !== (reply[0]! & 0xffff)) return false;
    first.answer(reply);
    return true;
  }

  /** The VF is taken back. */
  abandon(vf: number): void {
    for (const request of [...this.#queues[vf]!]) {
      request.fail(new GuestSilentError(`VF ${vf} was taken back before its driver answered`));
    }
  }

  #move(vf: number, from: State, to: State): void {
    const first = this.#queues[vf]![0];
    if (first !== undefined && first.state === from) first.state = to;
  }
}
