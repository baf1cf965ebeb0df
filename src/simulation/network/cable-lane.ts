/**
 * One direction of a virtual cable: frames at the cable's speed, some of them lost, doubled or late.
 *
 *   transmit() --faults--> on the way (due at ...) --event--> ring of arrivals --> receive()
 *
 * Several frames arrive in one event where they are close together: a busy cable would be all there is in a run otherwise.
 */
import { copyBytes } from '../../hardware/wire/copy-bytes.js';
import { FrameRing } from '../../hardware/wire/frame-ring.js';
import { type FrameSink, MAX_FRAME_BYTES, type WireStats } from '../../hardware/wire/wire.js';
import type { Choices } from '../clockwork/choices.js';
import type { Scheduler } from '../clockwork/scheduler.js';

export interface CableOptions {
  readonly bitsPerSecond: number;
  readonly delayNs: number;
  /** Added to the delay of each frame, uniform; order is kept. */
  readonly jitterNs: number;
  /** Arrivals wait up to this long for each other. */
  readonly gatherNs: number;
  /** What may wait to go onto the cable; more is dropped, as in a switch. */
  readonly queueBytes: number;
  /** Room of the receiver; a power of two. */
  readonly ringBytes: number;
}

/** Chances for each frame. */
export interface CableFaults {
  readonly loss: number;
  readonly duplicate: number;
  /** A frame that is held back for up to reorderNs, so that others overtake it. */
  readonly reorder: number;
  readonly reorderNs: number;
}

export const NO_FAULTS: CableFaults = { loss: 0, duplicate: 0, reorder: 0, reorderNs: 100_000 };

export interface LaneCounts {
  lost: number;
  duplicated: number;
  reordered: number;
  /** Lost because the cable was cut. */
  partitioned: number;
}

interface Travelling {
  dueNs: number;
  length: number;
  readonly bytes: Uint8Array;
}

/** Frames up to this are kept in buffers of this size; longer ones in larger ones. */
const COMMON_BYTES = 2048;

/** Preamble, gap and CRC of a frame. */
const OVERHEAD_BYTES = 24;

export class CableLane {
  faults: CableFaults = NO_FAULTS;
  partitioned = false;
  /** Told that frames arrived. */
  onArrival: (() => void) | null = null;
  readonly counts: LaneCounts = { lost: 0, duplicated: 0, reordered: 0, partitioned: 0 };
  readonly #scheduler: Scheduler;
  readonly #choices: Choices;
  readonly #options: CableOptions;
  readonly #what: string;
  readonly #ring: FrameRing;
  /** By due time. */
  readonly #travelling: Travelling[] = [];
  /** Buffers to be used again: making one costs more than filling it. */
  readonly #spare: Travelling[] = [];
  readonly #spareLarge: Travelling[] = [];
  #freeNs = 0;
  #lastDueNs = 0;
  #armed = false;
  /** Arrivals that found the ring full. */
  overruns = 0;

  constructor(scheduler: Scheduler, choices: Choices, what: string, options: CableOptions) {
    this.#scheduler = scheduler;
    this.#choices = choices;
    this.#options = options;
    this.#what = what;
    this.#ring = new FrameRing(new Uint8Array(options.ringBytes));
  }

  /** Frames that were sent and not received. */
  get pendingFrames(): number {
    return this.#travelling.length;
  }

  /** False: no room on the cable. */
  transmit(bytes: Uint8Array, offset: number, length: number): boolean {
    const nowNs = this.#scheduler.nowNs();
    const nsPerByte = 8e9 / this.#options.bitsPerSecond;
    const startNs = Math.max(nowNs, this.#freeNs);
    if (startNs - nowNs > this.#options.queueBytes * nsPerByte) return false;
    this.#freeNs = startNs + (length + OVERHEAD_BYTES) * nsPerByte;
    if (this.#isLost()) return true;
    this.#travel(bytes, offset, length);
    if (this.faults.duplicate > 0 && this.#choices.chance(this.faults.duplicate)) {
      this.counts.duplicated++;
      this.#travel(bytes, offset, length);
    }
    return true;
  }

  receive(sink: FrameSink, budget: number, stats: WireStats): number {
    return this.#ring.drain(sink, budget, stats);
  }

  /** Nothing that is on its way arrives. */
  unplug(): void {
    this.#travelling.length = 0;
  }

  #isLost(): boolean {
    if (this.partitioned) {
      this.counts.partitioned++;
      return true;
    }
    if (this.faults.loss === 0 || !this.#choices.chance(this.faults.loss)) return false;
    this.counts.lost++;
    return true;
  }

  #travel(bytes: Uint8Array, offset: number, length: number): void {
    const { delayNs, jitterNs } = this.#options;
    let dueNs = this.#freeNs + delayNs + this.#choices.int(jitterNs + 1);
    if (this.faults.reorder > 0 && this.#choices.chance(this.faults.reorder)) {
      this.counts.reordered++;
      dueNs += this.#choices.int(this.faults.reorderNs);
    } else {
      dueNs = Math.max(dueNs, this.#lastDueNs);
      this.#lastDueNs = dueNs;
    }
    let at = this.#travelling.length;
    while (at > 0 && this.#travelling[at - 1]!.dueNs > dueNs) at--;
    const frame = this.#buffer(length);
    frame.dueNs = dueNs;
    frame.length = length;
    copyBytes(frame.bytes, 0, bytes, offset, length);
    if (at === this.#travelling.length) this.#travelling.push(frame);
    else this.#travelling.splice(at, 0, frame);
    this.#arm();
  }

  #buffer(length: number): Travelling {
    const isCommon = length <= COMMON_BYTES;
    const spare = (isCommon ? this.#spare : this.#spareLarge).pop();
    return spare ?? { dueNs: 0, length, bytes: new Uint8Array(isCommon ? COMMON_BYTES : MAX_FRAME_BYTES) };
  }

  #arm(): void {
    const first = this.#travelling[0];
    if (this.#armed || first === undefined) return;
    this.#armed = true;
    const inNs =
      Math.ceil(first.dueNs) + this.#choices.int(this.#options.gatherNs + 1) - this.#scheduler.nowNs();
    this.#scheduler.atHardware(Math.max(0, inNs), this.#what, this.#arrive);
  }

  readonly #arrive = (): void => {
    this.#armed = false;
    const nowNs = this.#scheduler.nowNs();
    let arrived = 0;
    while (arrived < this.#travelling.length && this.#travelling[arrived]!.dueNs <= nowNs) {
      const frame = this.#travelling[arrived++]!;
      if (!this.#ring.push(frame.bytes, 0, frame.length)) this.overruns++;
      (frame.bytes.length === COMMON_BYTES ? this.#spare : this.#spareLarge).push(frame);
    }
    this.#travelling.splice(0, arrived);
    this.#arm();
    if (arrived > 0) this.onArrival?.();
  };
}
