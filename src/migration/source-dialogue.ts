/**
 * The source's half of the protocol, record by record: what it says, what it waits for, and how it takes a no. Every step
 * is bounded and ends at once on a cancel.
 */
import { ChannelError, MigrationRefusedError, PeerAbortedError, ProtocolError } from './errors.js';
import { Interruptible } from './interruptible.js';
import type { TimerClock } from './ports.js';
import type { SourceStream } from './source-stream.js';
import { FRAME, type FrameType, frameName } from './stream/frame.js';
import type { ReceivedFrame } from './stream/frame-queue.js';
import { decodeAbort, decodeRefuse, encodeRecord, recordText } from './stream/records.js';

/** After a link broke: how long to look for the reason that the other side may have sent. */
const LAST_WORD_MS = 200;

export class SourceDialogue {
  readonly steps: Interruptible;
  stepLimitMs: number;
  readonly #makeStream: () => SourceStream;
  readonly #clock: TimerClock;
  #stream: SourceStream | null = null;
  #destinationPrepared = false;

  constructor(makeStream: () => SourceStream, clock: TimerClock, stepLimitMs: number) {
    this.#makeStream = makeStream;
    this.#clock = clock;
    this.steps = new Interruptible(clock);
    this.stepLimitMs = stepLimitMs;
  }

  /** Made when it is first needed: a migration that waits in a queue costs no core. */
  get stream(): SourceStream {
    this.#stream ??= this.#makeStream();
    return this.#stream;
  }

  get cpuNs(): number | null {
    return this.#stream?.cpuNs ?? null;
  }

  /** A step of the VM or its device: whoever undoes waits for its end. */
  step<T>(what: string, action: () => Promise<T>): Promise<T> {
    return this.steps.run(what, this.stepLimitMs, action);
  }

  /** A step of the link: a guest that stands still does not wait for a link that hangs. */
  linkStep<T>(what: string, action: () => Promise<T>, limitMs = this.stepLimitMs): Promise<T> {
    return this.steps.run(what, limitMs, action, false);
  }

  send(type: FrameType, record: object): Promise<void> {
    return this.linkStep(`sending ${frameName(type)}`, () =>
      this.stream.sendRecord(type, encodeRecord(record)),
    );
  }

  /** The destination's next answer, which must be this one. */
  async expect(type: FrameType): Promise<ReceivedFrame> {
    for (;;) {
      const frame = await this.linkStep(`waiting for the destination's "${frameName(type)}"`, () =>
        this.stream.nextFrame(),
      );
      if (frame.type === FRAME.prepared) this.#destinationPrepared = true;
      if (frame.type === type) return frame;
      // it comes when it comes, between the answers
      if (frame.type === FRAME.prepared) continue;
      if (frame.type === FRAME.refuse) {
        const { reason, message } = decodeRefuse(frame.payload);
        throw new MigrationRefusedError(reason, `the destination refused: ${message}`);
      }
      if (frame.type === FRAME.abort) throw abortedBy(frame);
      throw new ProtocolError(
        `the destination answered "${frameName(frame.type)}" where "${frameName(type)}" was due`,
      );
    }
  }

  /** The destination builds its VM while the first round's pages arrive; a guest is not stopped to wait for that. */
  async untilPrepared(): Promise<void> {
    if (!this.#destinationPrepared) await this.expect(FRAME.prepared);
  }

  /** A broken link may have carried its reason: the other side's abort, sent before it closed. */
  async explain(error: Error): Promise<Error> {
    const stream = this.#stream;
    if (!(error instanceof ChannelError) || !stream) return error;
    try {
      for (;;) {
        const lastWord = new Interruptible(this.#clock);
        const frame = await lastWord.run('the last word', LAST_WORD_MS, () => stream.nextFrame());
        if (frame.type === FRAME.abort) return abortedBy(frame);
      }
    } catch {
      return error;
    }
  }

  /** Says why and hangs up. Bounded by the stream's own close. */
  async giveUp(error: Error): Promise<void> {
    const stream = this.#stream;
    if (!stream) return;
    // not waited for: close() lets it go out, if the link still takes anything
    stream.sendRecord(FRAME.abort, encodeRecord({ message: recordText(error.message) })).catch(() => {});
    await stream.close();
  }
}

const abortedBy = (frame: ReceivedFrame): PeerAbortedError =>
  new PeerAbortedError(`destination: ${decodeAbort(frame.payload).message}`);
