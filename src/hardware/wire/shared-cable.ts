/**
 * A cable between two threads of one process: a ring each way in one SharedArrayBuffer, one writer and one reader per
 * ring, nothing allocated per frame. Positions are published once per flush and per receive, not per frame.
 *
 *     | control words | ring: left to right | ring: right to left |
 *
 * A reader that found its ring empty says so in a word and waits for it without blocking (Atomics.waitAsync); the
 * writer's flush notifies only then, so a busy cable costs no system calls.
 */
import { FrameRing, MIN_RING_BYTES } from './frame-ring.js';
import type { FrameSink, Wire } from './wire.js';
import { zeroWireStats } from './wire-stats.js';

/** Goes to the other thread by postMessage or workerData; open it there with {@link openSharedCable}. */
export interface SharedCableHandle {
  readonly buffer: SharedArrayBuffer;
  readonly ringBytes: number;
  readonly side: 0 | 1;
}

export interface SharedCableOptions {
  /** Room of each direction; a power of two. */
  readonly ringBytes?: number;
}

const DEFAULT_RING_BYTES = 1 << 20;
const CONTROL_BYTES = 512;
/** Words that different threads write lie in different cache lines. */
const LINE_WORDS = 16;
/** Per direction: written frames end here; read frames end here; the reader sleeps. */
const WORD_TAIL = 0;
const WORD_HEAD = 1;
const WORD_ASLEEP = 2;
const WORDS_PER_DIRECTION = 3;
/** Set once by whichever end closes. */
const WORD_CLOSED = 2 * WORDS_PER_DIRECTION * LINE_WORDS;

const wordOf = (direction: number, word: number): number =>
  (direction * WORDS_PER_DIRECTION + word) * LINE_WORDS;

/** The two ends of a new cable. @throws RangeError unless ringBytes is a power of two. */
export function createSharedCable(options: SharedCableOptions = {}): [SharedCableHandle, SharedCableHandle] {
  const ringBytes = options.ringBytes ?? DEFAULT_RING_BYTES;
  if (ringBytes < MIN_RING_BYTES || (ringBytes & (ringBytes - 1)) !== 0) {
    throw new RangeError(
      `shared cable: ${ringBytes} bytes a ring; needs a power of two of at least ${MIN_RING_BYTES}`,
    );
  }
  const buffer = new SharedArrayBuffer(CONTROL_BYTES + 2 * ringBytes);
  return [
    { buffer, ringBytes, side: 0 },
    { buffer, ringBytes, side: 1 },
  ];
}

/** The wire at this end; each end is opened once, by the thread that holds it. */
export function openSharedCable(handle: SharedCableHandle): Wire {
  return new SharedCableEnd(handle);
}

class SharedCableEnd implements Wire {
  readonly stats = zeroWireStats();
  private readonly control: Int32Array<SharedArrayBuffer>;
  private readonly incoming: FrameRing;
  private readonly outgoing: FrameRing;
  private readonly inTail: number;
  private readonly inHead: number;
  private readonly inAsleep: number;
  private readonly outTail: number;
  private readonly outHead: number;
  private readonly outAsleep: number;
  private wake: (() => void) | null = null;
  private waiting = false;
  private unpublished = false;

  constructor(handle: SharedCableHandle) {
    const { buffer, ringBytes, side } = handle;
    this.control = new Int32Array(buffer, 0, CONTROL_BYTES / 4);
    const ringOf = (direction: number): FrameRing =>
      new FrameRing(new Uint8Array(buffer, CONTROL_BYTES + direction * ringBytes, ringBytes));
    const outward = side;
    const inward = 1 - side;
    this.outgoing = ringOf(outward);
    this.incoming = ringOf(inward);
    this.outTail = wordOf(outward, WORD_TAIL);
    this.outHead = wordOf(outward, WORD_HEAD);
    this.outAsleep = wordOf(outward, WORD_ASLEEP);
    this.inTail = wordOf(inward, WORD_TAIL);
    this.inHead = wordOf(inward, WORD_HEAD);
    this.inAsleep = wordOf(inward, WORD_ASLEEP);
  }

  get linkUp(): boolean {
    return Atomics.load(this.control, WORD_CLOSED) === 0;
  }

  get onWake(): (() => void) | null {
    return this.wake;
  }

  set onWake(wake: (() => void) | null) {
    this.wake = wake;
    if (wake !== null) this.waitForFrames();
  }

  receive(sink: FrameSink, budget: number): number {
    const { control, incoming } = this;
    incoming.tail = Atomics.load(control, this.inTail) >>> 0;
    if (incoming.head === incoming.tail) {
      this.waitForFrames();
      return 0;
    }
    const taken = incoming.drain(sink, budget, this.stats);
    Atomics.store(control, this.inHead, incoming.head | 0);
    return taken;
  }

  transmit(bytes: Uint8Array, offset: number, length: number): boolean {
    const { outgoing, stats } = this;
    if (!outgoing.push(bytes, offset, length)) {
      // The reader's position is only looked up when the ring seems full.
      outgoing.head = Atomics.load(this.control, this.outHead) >>> 0;
      if (!this.linkUp || !outgoing.push(bytes, offset, length)) {
        stats.txDropped++;
        return false;
      }
    }
    stats.txFrames++;
    stats.txBytes += length;
    this.unpublished = true;
    return true;
  }

  flush(): void {
    if (!this.unpublished) return;
    this.unpublished = false;
    Atomics.store(this.control, this.outTail, this.outgoing.tail | 0);
    this.notifyReader(this.outAsleep);
  }

  async close(): Promise<void> {
    this.wake = null;
    if (Atomics.exchange(this.control, WORD_CLOSED, 1) !== 0) return;
    this.notifyReader(this.outAsleep);
    this.notifyReader(this.inAsleep);
  }

  private notifyReader(asleep: number): void {
    if (Atomics.load(this.control, asleep) === 0) return;
    Atomics.store(this.control, asleep, 0);
    Atomics.notify(this.control, asleep);
  }

  /** Calls onWake once frames are there: at once when they came while we were about to wait. */
  private waitForFrames(): void {
    if (this.waiting || this.wake === null || !this.linkUp) return;
    const { control } = this;
    this.waiting = true;
    Atomics.store(control, this.inAsleep, 1);
    if (Atomics.load(control, this.inTail) >>> 0 !== this.incoming.head || !this.linkUp) {
      this.notifyReader(this.inAsleep);
    }
    const outcome = Atomics.waitAsync(control, this.inAsleep, 1);
    const woken = (): void => {
      this.waiting = false;
      this.wake?.();
    };
    if (outcome.async) void outcome.value.then(woken);
    else queueMicrotask(woken);
  }
}
