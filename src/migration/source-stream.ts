/**
 * The source's end of the stream: owns the channel, sends pages, records and states, hands out the answers. It runs in
 * the sender core during a migration; tests and the simulator run it in their own thread.
 */
import { PAGE_SHIFT } from '../hardware/units.js';
import type { BackedPages } from './backed-pages.js';
import type { ByteSink, Channel } from './channel.js';
import { ChannelError, MigrationCancelledError, MigrationTimeoutError } from './errors.js';
import { PageHasher } from './page-hasher.js';
import { createHashedBuffer, createPageHelper, type HashedBuffer, type PageHelper } from './page-helper.js';
import type { TimerClock } from './ports.js';
import { type BatchLink, batchBufferBytes, PageSender } from './sender.js';
import { FrameDecoder } from './stream/decoder.js';
import { FrameEncoder } from './stream/encoder.js';
import {
  DEFAULT_LIMITS,
  FRAME,
  FRAME_HEADER_BYTES,
  type FrameType,
  STATE_PIECE_HEADER_BYTES,
} from './stream/frame.js';
import { FrameQueue, type ReceivedFrame } from './stream/frame-queue.js';
import { encodeRoundMarker } from './stream/round-marker.js';

/** What a round moved. */
export interface RoundTraffic {
  readonly dataPages: number;
  readonly zeroPages: number;
  readonly bytes: number;
}

/** Words (Float64) of the counters that another thread may read while pages go out. */
export const STREAM_COUNTER = { bytes: 0, dataPages: 1, zeroPages: 2 } as const;
export const STREAM_COUNTERS = 8;

/** What the engine needs of the source's end, in whichever thread it lives. */
export interface SourceStream {
  /** Opens the link. */
  connect(): Promise<void>;
  sendRecord(type: FrameType, payload: Uint8Array): Promise<void>;
  sendState(type: FrameType, state: Uint8Array): Promise<void>;
  /** Sends every page marked in the map, clears its mark, and marks the round's end. */
  sendRound(round: number): Promise<RoundTraffic>;
  /** Sends a hash of every page of RAM. */
  sendHashes(): Promise<void>;
  /** The next answer; rejects when the link ended. */
  nextFrame(): Promise<ReceivedFrame>;
  /** Bytes a second; 0: no cap. */
  setBandwidth(bytesPerSecond: number): void;
  /** Nanoseconds of CPU that its core took; absent where it has no core of its own. */
  readonly cpuNs?: number | null;
  /** Lets go of the link at once or after what was sent. Idempotent; a round under way ends with an error. */
  close(): Promise<void>;
}

export interface SourceStreamOptions {
  readonly open: () => Promise<Channel>;
  readonly memory: WebAssembly.Memory;
  readonly ramBytes: number;
  /** One byte per page: what the next round sends. */
  readonly map: Uint8Array;
  /** STREAM_COUNTERS doubles. */
  readonly counters: Float64Array;
  readonly clock: TimerClock;
  readonly backed: BackedPages | null;
  readonly batchPages?: number;
  /** How long the destination may take nothing at all before it counts as gone. */
  readonly stallLimitMs?: number;
}

/** 512 KiB a batch: large enough for the kernel, small enough to stay in a core's cache. */
const DEFAULT_BATCH_PAGES = 128;
const BATCH_BUFFERS = 4;
const DEFAULT_STALL_LIMIT_MS = 10_000;
/** So few that both sides hash at the same time. */
const HASHES_PER_FRAME = 2048;
/** Steps between two turns of the event loop, so that answers, cancel and new limits are heard. */
const STEPS_PER_TURN = 8;

/** The batch buffers, and the frames on their way. */
class BatchPool implements BatchLink {
  failure: Error | null = null;
  readonly #free: HashedBuffer[];
  readonly #channel: Channel;
  #waiting: (() => void) | null = null;
  #inFlight = 0;

  constructor(channel: Channel, buffers: number, bufferBytes: number) {
    this.#channel = channel;
    this.#free = Array.from({ length: buffers }, () => createHashedBuffer(bufferBytes));
  }

  take(): HashedBuffer | null {
    return this.#free.pop() ?? null;
  }

  put(buffer: HashedBuffer, frameBytes: number): void {
    this.follow(this.#channel.send(buffer.bytes.subarray(0, frameBytes)), buffer);
  }

  /** Counts a frame as on its way until it has gone; then `buffer` is free again. */
  follow(sent: Promise<void>, buffer: HashedBuffer | null = null): void {
    this.#inFlight++;
    const landed = (): void => {
      this.#inFlight--;
      if (buffer) this.#free.push(buffer);
      this.#waiting?.();
      this.#waiting = null;
    };
    sent.then(landed, (error) => {
      this.failure ??= error;
      landed();
    });
  }

  get idle(): boolean {
    return this.#inFlight === 0;
  }

  /** Resolves when any frame has gone, or the destination took nothing for too long: that is a failure. */
  async progress(clock: TimerClock, limitMs: number): Promise<void> {
    const stopTimer = clock.after(limitMs, () => {
      this.failure ??= new MigrationTimeoutError(
        `the destination took nothing for ${limitMs} ms: is its link alive?`,
      );
      this.#waiting?.();
    });
    await new Promise<void>((resolve) => {
      this.#waiting = resolve;
    });
    stopTimer();
  }
}

/** Takes the destination's answers out of the bytes that arrive. */
class AnswerSink implements ByteSink {
  readonly queue = new FrameQueue();
  readonly #decoder = new FrameDecoder();

  space(): Buffer {
    return this.#decoder.space();
  }

  filled(bytes: number): void {
    this.#decoder.filled(bytes);
    try {
      for (let frame = this.#decoder.next(); frame; frame = this.#decoder.next()) {
        this.queue.push({ type: frame.type, payload: Uint8Array.from(frame.payload) });
      }
    } catch (error) {
      this.queue.fail(error as Error);
    }
  }

  ended(error: ChannelError | null): void {
    this.queue.fail(error ?? new ChannelError('the destination closed the migration link'));
  }
}

export class LocalSourceStream implements SourceStream {
  readonly #o: SourceStreamOptions;
  readonly #encoder = new FrameEncoder();
  readonly #answers = new AnswerSink();
  readonly #helper: PageHelper;
  #channel: Channel | null = null;
  #pool: BatchPool | null = null;
  #sender: PageSender | null = null;
  #bandwidth = 0;
  #closed: Promise<void> | null = null;

  constructor(options: SourceStreamOptions) {
    this.#o = options;
    this.#helper = createPageHelper(options.memory);
  }

  async connect(): Promise<void> {
    const channel = await this.#o.open();
    if (this.#closed) {
      await channel.close();
      throw new MigrationCancelledError('migration cancelled while connecting');
    }
    this.#channel = channel;
    channel.receive(this.#answers);
    const batchPages = this.#o.batchPages ?? DEFAULT_BATCH_PAGES;
    this.#pool = new BatchPool(channel, BATCH_BUFFERS, batchBufferBytes(batchPages));
    this.#sender = new PageSender({
      memory: this.#o.memory.buffer as unknown as SharedArrayBuffer,
      ramPages: this.#o.ramBytes >>> PAGE_SHIFT,
      map: this.#o.map,
      helper: this.#helper,
      encoder: this.#encoder,
      link: this.#pool,
      clock: this.#o.clock,
      batchPages,
    });
    this.#sender.setBandwidth(this.#bandwidth);
  }

  sendRecord(type: FrameType, payload: Uint8Array): Promise<void> {
    return this.#send(this.#encoder.frame(type, payload));
  }

  async sendState(type: FrameType, state: Uint8Array): Promise<void> {
    const limit = DEFAULT_LIMITS.maxStatePieceBytes;
    const sent: Promise<void>[] = [];
    for (let offset = 0; offset < state.length || offset === 0; offset += limit) {
      const piece = state.subarray(offset, offset + limit);
      const payload = Buffer.allocUnsafe(STATE_PIECE_HEADER_BYTES + piece.length);
      payload.writeUInt32LE(state.length, 0);
      payload.writeUInt32LE(offset, 4);
      payload.set(piece, STATE_PIECE_HEADER_BYTES);
      // all at once: what the engine sends next comes behind the last piece, waited for or not
      sent.push(this.sendRecord(type, payload));
    }
    await Promise.all(sent);
  }

  async sendRound(round: number): Promise<RoundTraffic> {
    const sender = this.#need(this.#sender);
    const pool = this.#need(this.#pool);
    const before = { dataPages: sender.dataPages, zeroPages: sender.zeroPages, bytes: sender.bytes };
    // looked up after the logs began: a page touched later is marked and sent again
    sender.begin(round === 1 ? (this.#o.backed?.unbacked() ?? null) : null);
    for (let turn = 0; !sender.done; turn++) {
      if (this.#closed)
        throw new MigrationCancelledError('the stream was closed while pages were on their way');
      if (pool.failure) throw pool.failure;
      if (sender.step() === 0) await this.#waitForSender(sender, pool);
      else if (turn % STEPS_PER_TURN === STEPS_PER_TURN - 1) await this.#o.clock.yield();
      this.#count(sender);
    }
    const dataPages = sender.dataPages - before.dataPages;
    const zeroPages = sender.zeroPages - before.zeroPages;
    pool.follow(this.sendRecord(FRAME.round, encodeRoundMarker({ round, pages: dataPages + zeroPages })));
    while (!pool.idle && !pool.failure) await this.#progress(pool);
    if (pool.failure) throw pool.failure;
    this.#count(sender);
    return { dataPages, zeroPages, bytes: sender.bytes - before.bytes };
  }

  async sendHashes(): Promise<void> {
    const ramPages = this.#o.ramBytes >>> PAGE_SHIFT;
    const hasher = new PageHasher(this.#o.memory, this.#o.backed?.unbacked() ?? null);
    const sent: Promise<void>[] = [];
    for (let first = 0; first < ramPages; first += HASHES_PER_FRAME) {
      const count = Math.min(HASHES_PER_FRAME, ramPages - first);
      const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + 8 + count * 8);
      frame.writeUInt32LE(first, FRAME_HEADER_BYTES);
      frame.writeUInt32LE(count, FRAME_HEADER_BYTES + 4);
      for (let i = 0, at = FRAME_HEADER_BYTES + 8; i < count; i++, at += 8) {
        frame.writeUInt32LE(hasher.hash(first + i), at);
        frame.writeUInt32LE(hasher.high, at + 4);
      }
      this.#encoder.seal(frame, FRAME.hashes, 8 + count * 8);
      // not waited for one by one: the other side compares while this one hashes on
      sent.push(this.#send(frame));
    }
    await Promise.all(sent);
  }

  nextFrame(): Promise<ReceivedFrame> {
    return this.#answers.queue.next();
  }

  setBandwidth(bytesPerSecond: number): void {
    this.#bandwidth = bytesPerSecond;
    this.#sender?.setBandwidth(bytesPerSecond);
  }

  close(): Promise<void> {
    this.#closed ??= (async () => {
      this.#answers.queue.fail(new ChannelError('the migration stream was closed'));
      await this.#channel?.close();
    })();
    return this.#closed;
  }

  #send(frame: Buffer): Promise<void> {
    // rejected, never thrown: who gives up before the link was there must still come to close()
    return this.#channel?.send(frame) ?? Promise.reject(notConnected());
  }

  /** Until a buffer comes back or the bandwidth cap lets the next batch go. */
  #waitForSender(sender: PageSender, pool: BatchPool): Promise<void> {
    const dueNs = sender.nextDueNs();
    if (dueNs === 0) return pool.idle ? this.#o.clock.yield() : this.#progress(pool);
    const delayMs = Math.max((dueNs - this.#o.clock.nowNs()) / 1e6, 0);
    return new Promise((resume) => this.#o.clock.after(Math.min(delayMs, 100), resume));
  }

  #progress(pool: BatchPool): Promise<void> {
    return pool.progress(this.#o.clock, this.#o.stallLimitMs ?? DEFAULT_STALL_LIMIT_MS);
  }

  #count(sender: PageSender): void {
    const counters = this.#o.counters;
    counters[STREAM_COUNTER.bytes] = sender.bytes;
    counters[STREAM_COUNTER.dataPages] = sender.dataPages;
    counters[STREAM_COUNTER.zeroPages] = sender.zeroPages;
  }

  #need<T>(value: T | null): T {
    if (value === null) throw notConnected();
    return value;
  }
}

const notConnected = (): ChannelError => new ChannelError('the migration stream is not connected');
