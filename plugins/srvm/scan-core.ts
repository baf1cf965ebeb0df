/**
 * `scan`: the guest rings the device's doorbells itself; the core looks at the rings often enough to see every posted
 * address before it is gone.
 *
 *   one look, per queue:   tail -> head -> mark [last head, head) -> remember [last tail, tail) -> head: not there yet?
 *   then, over the VF:     counters: could a slot have been posted and consumed unseen?
 *
 * The tail is read before the head, so that every slot it posts anew has been passed by that head: marking comes before
 * remembering, and no address is overwritten unmarked. Whether what was remembered was still there when it was read is
 * what the second reading of the head proves, or else the look says "lapped".
 */
import { type CoreView, vf82599 } from 'srvm/plugin';
import { LapDetector } from './lap-detector.js';
import { ScannedQueue } from './scanned-queue.js';

const { QUEUES } = vf82599;
/** A ring that keeps running away while it is first read: then its doorbell is taken over at once. */
const ATTACH_TRIES = 8;

export type LookResult = 'followed' | 'lapped';

export class ScanCore {
  readonly #laps: LapDetector;
  readonly #queues: readonly ScannedQueue[];
  /** Descriptors found consumed by the last look. */
  consumed = 0;
  /** Slots that can be consumed without lapping the core, in the running queue that has least. */
  slackSlots = Number.POSITIVE_INFINITY;

  constructor(view: CoreView) {
    this.#laps = new LapDetector(view);
    this.#queues = Array.from({ length: QUEUES }, (_, q) => new ScannedQueue(view, q));
  }

  get descriptors(): number {
    return this.#queues.reduce((sum, queue) => sum + queue.table.descriptors, 0);
  }

  /** Reads the rings as they are now. `lapped`: they move too fast to be read whole. */
  attach(): LookResult {
    for (let i = 0; i < ATTACH_TRIES; i++) {
      this.#laps.beginLook();
      this.#laps.endLook();
      let posted = 0;
      for (const queue of this.#queues) {
        queue.attach();
        posted += queue.known;
      }
      this.#laps.beginLook();
      const most = this.#laps.most(this.#bufferBytes());
      this.#laps.endLook();
      // nothing that was read can have been consumed and posted anew while it was read
      if (posted === 0 || most < posted) return 'followed';
    }
    return 'lapped';
  }

  look(): LookResult {
    const [first, second] = this.#queues as [ScannedQueue, ScannedQueue];
    const laps = this.#laps;
    laps.beginLook();
    const kept = first.look() && second.look();
    const most = laps.most(this.#bufferBytes());
    const least = laps.least();
    laps.endLook();
    this.consumed = first.passed + second.passed;
    this.slackSlots = Math.min(
      first.running ? first.known : Number.POSITIVE_INFINITY,
      second.running ? second.known : Number.POSITIVE_INFINITY,
    );
    const lapped =
      !kept || first.lapped(most, least, second.passed) || second.lapped(most, least, first.passed);
    return lapped ? 'lapped' : 'followed';
  }

  #bufferBytes(): number {
    const [first, second] = this.#queues as [ScannedQueue, ScannedQueue];
    const sizes = [first.table.packetBytes, second.table.packetBytes].filter((bytes) => bytes > 0);
    return sizes.length === 0 ? 0 : Math.min(...sizes);
  }
}
