/**
 * The destination's end of the stream: takes a connection, puts pages into guest memory, compares hashes, answers round
 * markers, and hands everything else to the engine. It runs in the receiver core; tests run it in their own thread.
 *
 *   hello -> | attach | -> (pages | round)* -> hashes* -> (vmState | deviceState)* -> end -> commit
 *
 * A frame out of this order ends the stream: STAGES says what may follow what.
 */
import { findBackedPages } from './backed-pages.js';
import type { ByteSink, Channel } from './channel.js';
import { ChannelError, MigrationTimeoutError, ProtocolError } from './errors.js';
import type { TimerClock } from './ports.js';
import { PageReceiver } from './receiver.js';
import { FrameDecoder } from './stream/decoder.js';
import { FrameEncoder } from './stream/encoder.js';
import { DEFAULT_LIMITS, FRAME, type FrameType, frameName } from './stream/frame.js';
import { FrameQueue, type ReceivedFrame } from './stream/frame-queue.js';
import type { VerifyVerdict } from './stream/records.js';
import { decodeRoundMarker } from './stream/round-marker.js';
import { StateAssembler } from './stream/state-assembler.js';
import { PageVerifier } from './verify.js';

/** What arrived. */
export interface ReceivedTraffic {
  readonly dataPages: number;
  readonly zeroPages: number;
}

/** What the engine needs of the destination's end, in whichever thread it lives. */
export interface DestinationStream {
  /** Listens, or opens the file. Resolves with the address as bound. */
  listen(): Promise<string>;
  /** The next frame that is the engine's: hello, whole states, end, commit, abort. Rejects when the stream failed. */
  nextFrame(): Promise<ReceivedFrame>;
  /** Where pages go from now on. */
  attach(memory: WebAssembly.Memory, ramBytes: number): Promise<void>;
  sendRecord(type: FrameType, payload: Uint8Array): Promise<void>;
  /** What comparing found, after `end`. */
  verdict(): Promise<VerifyVerdict>;
  /** What was received so far. */
  traffic(): Promise<ReceivedTraffic>;
  /** Nanoseconds of CPU that its core took; absent where it has no core of its own. */
  readonly cpuNs?: number | null;
  close(): Promise<void>;
}

export interface ListeningChannel {
  readonly address: string;
  accept(): Promise<Channel>;
  close(): Promise<void>;
}

export interface DestinationStreamOptions {
  readonly listen: () => Promise<ListeningChannel>;
  readonly clock: TimerClock;
  /** A file: nobody waits for answers, and none are sent. */
  readonly oneWay: boolean;
  /** The longest silence of a source that owes something. */
  readonly silenceLimitMs: number;
}

type Stage = 'hello' | 'copying' | 'hashing' | 'states' | 'ended' | 'committed';

/** For each stage: which frames may come, and the stage they lead to. */
const STAGES: Readonly<Record<Stage, Partial<Readonly<Record<number, Stage>>>>> = {
  hello: { [FRAME.hello]: 'copying' },
  copying: {
    [FRAME.pages]: 'copying',
    [FRAME.round]: 'copying',
    [FRAME.hashes]: 'hashing',
    [FRAME.vmState]: 'states',
    [FRAME.deviceState]: 'states',
    [FRAME.abort]: 'copying',
  },
  hashing: {
    [FRAME.hashes]: 'hashing',
    [FRAME.vmState]: 'states',
    [FRAME.deviceState]: 'states',
    [FRAME.abort]: 'hashing',
  },
  states: {
    [FRAME.vmState]: 'states',
    [FRAME.deviceState]: 'states',
    [FRAME.end]: 'ended',
    [FRAME.abort]: 'states',
  },
  ended: { [FRAME.commit]: 'committed', [FRAME.abort]: 'ended' },
  committed: {},
};

export class LocalDestinationStream implements DestinationStream, ByteSink {
  readonly #o: DestinationStreamOptions;
  readonly #decoder = new FrameDecoder();
  readonly #encoder = new FrameEncoder();
  readonly #queue = new FrameQueue();
  readonly #states = new Map<number, StateAssembler>([
    [FRAME.vmState, new StateAssembler('vCPU state', DEFAULT_LIMITS.maxStateBytes)],
    [FRAME.deviceState, new StateAssembler('device state', DEFAULT_LIMITS.maxStateBytes)],
  ]);
  #stage: Stage = 'hello';
  #listener: ListeningChannel | null = null;
  #channel: Channel | null = null;
  #receiver: PageReceiver | null = null;
  #verifier: PageVerifier | null = null;
  /** Resolves a one-way channel's wait for attach(). */
  #resume: (() => void) | null = null;
  #roundPages = 0;
  #readySent = false;
  #heardAtNs = 0;
  #stopWatch: (() => void) | null = null;
  #closed: Promise<void> | null = null;

  constructor(options: DestinationStreamOptions) {
    this.#o = options;
  }

  async listen(): Promise<string> {
    const listener = await this.#o.listen();
    this.#listener = listener;
    listener.accept().then(
      async (channel) => {
        this.#channel = channel;
        if (this.#closed) await channel.close();
        else channel.receive(this);
      },
      (error) => this.#queue.fail(error),
    );
    return listener.address;
  }

  nextFrame(): Promise<ReceivedFrame> {
    return this.#queue.next();
  }

  async attach(memory: WebAssembly.Memory, ramBytes: number): Promise<void> {
    this.#receiver = new PageReceiver(memory.buffer as unknown as SharedArrayBuffer, ramBytes);
    this.#verifier = new PageVerifier(memory, this.#receiver.ramPages, () =>
      findBackedPages(memory, ramBytes),
    );
    this.#heardAtNs = this.#o.clock.nowNs();
    this.#watchSilence(this.#o.silenceLimitMs);
    this.#resume?.();
    this.#resume = null;
  }

  async sendRecord(type: FrameType, payload: Uint8Array): Promise<void> {
    if (type === FRAME.ready) {
      this.#readySent = true;
      this.#heardAtNs = this.#o.clock.nowNs();
    }
    if (this.#o.oneWay) return;
    if (!this.#channel) throw new ChannelError('nobody is connected to the migration port');
    await this.#channel.send(this.#encoder.frame(type, payload));
  }

  async verdict(): Promise<VerifyVerdict> {
    return this.#verifier?.verdict() ?? { pagesCompared: 0, pagesDiffering: 0, differing: [] };
  }

  async traffic(): Promise<ReceivedTraffic> {
    return { dataPages: this.#receiver?.dataPages ?? 0, zeroPages: this.#receiver?.zeroPages ?? 0 };
  }

  close(): Promise<void> {
    this.#closed ??= (async () => {
      this.#stopWatch?.();
      this.#resume?.();
      this.#queue.fail(new ChannelError('the migration port was closed'));
      await Promise.all([this.#listener?.close(), this.#channel?.close()]);
    })();
    return this.#closed;
  }

  // ByteSink

  space(): Buffer {
    return this.#decoder.space();
  }

  filled(bytes: number): void | Promise<void> {
    this.#decoder.filled(bytes);
    this.#heardAtNs = this.#o.clock.nowNs();
    return this.#takeFrames();
  }

  ended(error: ChannelError | null): void {
    try {
      this.#decoder.ended();
    } catch (truncated) {
      this.#queue.fail(truncated as Error);
    }
    this.#queue.fail(error ?? new ChannelError('the source closed the migration link'));
  }

  #takeFrames(): void | Promise<void> {
    if (this.#queue.failure) return;
    try {
      for (;;) {
        if (this.#o.oneWay && this.#stage === 'copying' && !this.#receiver && !this.#closed)
          return this.#untilAttached();
        const frame = this.#decoder.next();
        if (!frame) return;
        this.#take(frame.type, frame.payload);
      }
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  async #untilAttached(): Promise<void> {
    await new Promise<void>((resume) => {
      this.#resume = resume;
    });
    if (!this.#closed) await this.#takeFrames();
  }

  #take(type: number, payload: Buffer): void {
    const next = STAGES[this.#stage][type];
    const tooEarly = type !== FRAME.hello && type !== FRAME.abort && !this.#receiver;
    const notReady = type === FRAME.commit && !this.#readySent && !this.#o.oneWay;
    if (next === undefined || tooEarly || notReady) {
      throw new ProtocolError(
        `migration stream: a ${frameName(type)} frame has no place at stage "${this.#stage}"`,
      );
    }
    this.#stage = next;
    if (type === FRAME.pages) this.#roundPages += this.#receiver!.apply(payload);
    else if (type === FRAME.round) this.#endRound(payload);
    else if (type === FRAME.hashes) this.#verifier!.compare(payload);
    else if (type === FRAME.vmState || type === FRAME.deviceState) this.#addState(type, payload);
    else this.#queue.push({ type, payload: Uint8Array.from(payload) });
  }

  #endRound(payload: Buffer): void {
    const { pages, round } = decodeRoundMarker(payload);
    if (pages !== this.#roundPages) {
      throw new ProtocolError(
        `migration stream: round ${round} has ${pages} pages, ${this.#roundPages} arrived`,
      );
    }
    this.#roundPages = 0;
    // the same marker back: "all of round n is in memory here"
    this.sendRecord(FRAME.roundDone, payload).catch((error) => this.#queue.fail(error));
  }

  #addState(type: number, payload: Buffer): void {
    const whole = this.#states.get(type)!.add(payload);
    if (whole) this.#queue.push({ type, payload: whole });
  }

  #fail(error: Error): void {
    this.#queue.fail(error);
    this.#stopWatch?.();
  }

  /** Fails the stream when a source that owes us something is silent for too long. */
  #watchSilence(delayMs: number): void {
    this.#stopWatch = this.#o.clock.after(delayMs, () => {
      const owed = this.#stage !== 'committed' && (this.#stage !== 'ended' || this.#readySent);
      const silentMs = (this.#o.clock.nowNs() - this.#heardAtNs) / 1e6;
      if (owed && silentMs >= this.#o.silenceLimitMs) {
        this.#fail(new MigrationTimeoutError(`the source was silent for ${Math.round(silentMs)} ms`));
        return;
      }
      this.#watchSilence(Math.max(owed ? this.#o.silenceLimitMs - silentMs : this.#o.silenceLimitMs, 1));
    });
  }
}
