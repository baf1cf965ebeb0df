/**
 * A traffic generator that is the cable itself: what holds it receives test frames at a given rate, and what the holder
 * transmits goes to a sink. With it the NIC's own thread makes the load, so a benchmark at line rate needs no socket
 * and no second core. Frames are prepared once per flow; per frame only seq, timestamp, words and check are rewritten.
 */
import type { Clock } from '../clock.js';
import type { UdpFlow } from './frames.js';
import {
  CRC_BYTES,
  ipNumber,
  MIN_FRAME_BYTES,
  macBytes,
  UDP_PAYLOAD_OFFSET,
  writeUdpHeaders,
} from './frames.js';
import { FILL_OVERSHOOT_BYTES, FRAMES_OFFSET, PayloadKernel } from './payload-kernel.js';
import {
  CHECK_OFFSET,
  generatedCheck,
  PAYLOAD_HEAD_BYTES,
  TIMESTAMP_OFFSET,
  WORD_STEP,
} from './test-payload.js';
import type { FrameSink, Wire } from './wire.js';
import { MAX_FRAME_BYTES } from './wire.js';
import { zeroWireStats } from './wire-stats.js';

export interface FrameGeneratorOptions {
  readonly clock: Clock;
  readonly sourceMac: string;
  readonly targetMac: string;
  readonly sourceIp: string;
  readonly targetIp: string;
  /** Size on the wire with its CRC: 64 gives 60 bytes to the holder. */
  readonly frameBytes: number;
  /** Frames per second; Infinity for as many as the holder takes. */
  readonly rateFps?: number;
  /** Flows differ in their source port and are numbered apart. */
  readonly flows?: number;
  /** Whom the flows go to, in turn, instead of the one target. */
  readonly targets?: readonly { readonly mac: string; readonly ip: string }[];
  readonly firstSourcePort?: number;
  readonly targetPort?: number;
  /** Stop after so many frames. */
  readonly maxFrames?: number;
  /** What the holder transmits; without it, it is counted only. */
  readonly onTransmit?: FrameSink;
}

const DEFAULT_SOURCE_PORT = 20_000;
const SINK_PORT = 9;
/** A holder that stalled gets at most this much at once; the rest of its time has passed, as on a real cable. */
const MAX_BACKLOG_NS = 2e6;
/** Puts the payload of an untagged frame on a multiple of 8, so that it can be written as words. */
const FRAME_PAD_BYTES = 6;

export class FrameGenerator implements Wire {
  readonly stats = zeroWireStats();
  readonly linkUp = true;
  onWake: (() => void) | null = null;
  /** Frames whose time passed while the holder was not receiving. */
  skipped = 0;
  private readonly clock: Clock;
  private readonly onTransmit: FrameSink | null;
  private readonly frameLength: number;
  private flows: number;
  private readonly maxFrames: number;
  private readonly wordCount: number;
  private readonly strideBytes: number;
  private readonly kernel: PayloadKernel;
  private readonly nextSeq: Uint32Array;
  private nsPerFrame: number;
  private dueNs = 0;
  private flow = 0;
  private sent = 0;
  private running = false;
  /** The frame of `flow` is written and was refused: it is offered again as it is. */
  private prepared = false;

  /** @throws RangeError for a frame size that no wire carries. */
  constructor(options: FrameGeneratorOptions) {
    this.clock = options.clock;
    this.onTransmit = options.onTransmit ?? null;
    this.frameLength = options.frameBytes - CRC_BYTES;
    if (!(this.frameLength >= MIN_FRAME_BYTES && this.frameLength <= MAX_FRAME_BYTES)) {
      throw new RangeError(
        `generator: frames of ${options.frameBytes} bytes; from ${MIN_FRAME_BYTES + CRC_BYTES} to ${MAX_FRAME_BYTES + CRC_BYTES} is possible`,
      );
    }
    this.flows = options.flows ?? 1;
    this.maxFrames = options.maxFrames ?? Number.POSITIVE_INFINITY;
    this.nsPerFrame = 1e9 / (options.rateFps ?? Number.POSITIVE_INFINITY);
    const payloadBytes = this.frameLength - UDP_PAYLOAD_OFFSET;
    this.wordCount = (payloadBytes - PAYLOAD_HEAD_BYTES) >> 2;
    this.strideBytes = (FRAME_PAD_BYTES + this.frameLength + FILL_OVERSHOOT_BYTES + 63) & ~63;
    this.kernel = new PayloadKernel(this.strideBytes * this.flows);
    this.nextSeq = new Uint32Array(this.flows);
    this.prepareHeaders(options, payloadBytes);
    this.start();
  }

  /** Frames generated so far. */
  get sentFrames(): number {
    return this.sent;
  }

  /** Goes on (after stop) from now; what was due in between is not made up for. */
  start(): void {
    this.running = true;
    this.dueNs = this.clock.nowNs();
    this.onWake?.();
  }

  stop(): void {
    this.running = false;
  }

  /** Frames per second from now on; Infinity for as many as the holder takes. */
  setRate(rateFps: number): void {
    this.nsPerFrame = 1e9 / rateFps;
    this.dueNs = this.clock.nowNs();
    this.onWake?.();
  }

  get activeFlows(): number {
    return this.flows;
  }

  /** How many of its flows it makes from now on: the first ones. At most as many as it was made with. */
  setFlows(flows: number): void {
    this.flows = Math.max(1, Math.min(flows, this.nextSeq.length));
    // a frame that was refused is not offered again: its number is given back
    if (this.prepared) this.nextSeq[this.flow]!--;
    this.prepared = false;
    this.flow = 0;
  }

  /** When the next frame is due; Infinity when stopped or done. */
  nextDueNs(): number {
    return this.running && this.sent < this.maxFrames ? this.dueNs : Number.POSITIVE_INFINITY;
  }

  receive(sink: FrameSink, budget: number): number {
    if (!this.running) return 0;
    // One reading of the clock stamps the whole batch: it costs more than a small frame.
    const nowNs = this.clock.nowNs();
    const allowed = Math.min(budget, this.maxFrames - this.sent, this.dueFrames(nowNs));
    const { frameLength, strideBytes, flows } = this;
    const { bytes } = this.kernel;
    let taken = 0;
    let flow = this.flow;
    for (; taken < allowed; taken++) {
      const at = FRAMES_OFFSET + flow * strideBytes;
      if (!this.prepared) this.prepare(flow, at, nowNs);
      if (!sink(bytes, at + FRAME_PAD_BYTES, frameLength)) {
        this.prepared = true;
        break;
      }
      this.prepared = false;
      if (++flow === flows) flow = 0;
    }
    this.flow = flow;
    this.sent += taken;
    this.dueNs += taken * this.nsPerFrame;
    this.stats.rxFrames += taken;
    this.stats.rxBytes += taken * frameLength;
    return taken;
  }

  transmit(bytes: Uint8Array, offset: number, length: number): boolean {
    this.stats.txFrames++;
    this.stats.txBytes += length;
    this.onTransmit?.(bytes, offset, length);
    return true;
  }

  flush(): void {}

  async close(): Promise<void> {
    this.stop();
  }

  private dueFrames(nowNs: number): number {
    if (this.nsPerFrame === 0) return Number.POSITIVE_INFINITY;
    const lateNs = nowNs - this.dueNs;
    if (lateNs < 0) return 0;
    if (lateNs > MAX_BACKLOG_NS) {
      const lost = Math.floor((lateNs - MAX_BACKLOG_NS) / this.nsPerFrame);
      this.skipped += lost;
      this.dueNs += lost * this.nsPerFrame;
    }
    return Math.floor((nowNs - this.dueNs) / this.nsPerFrame) + 1;
  }

  private prepare(flow: number, at: number, nowNs: number): void {
    const { kernel, wordCount } = this;
    const { words } = kernel;
    const seq = this.nextSeq[flow]!;
    this.nextSeq[flow] = seq + 1;
    const payload = at + FRAME_PAD_BYTES + UDP_PAYLOAD_OFFSET;
    const first = payload >> 2;
    words[first] = seq;
    kernel.doubles[(payload + TIMESTAMP_OFFSET) >> 3] = nowNs;
    kernel.fill(payload + PAYLOAD_HEAD_BYTES, wordCount, Math.imul(seq, WORD_STEP));
    words[first + (CHECK_OFFSET >> 2)] = generatedCheck(seq, words[first + 2]!, words[first + 3]!, wordCount);
  }

  private prepareHeaders(options: FrameGeneratorOptions, payloadBytes: number): void {
    const firstSourcePort = options.firstSourcePort ?? DEFAULT_SOURCE_PORT;
    const targets = options.targets ?? [{ mac: options.targetMac, ip: options.targetIp }];
    for (let flow = 0; flow < this.flows; flow++) {
      const target = targets[flow % targets.length]!;
      const headers: UdpFlow = {
        sourceMac: macBytes(options.sourceMac),
        targetMac: macBytes(target.mac),
        sourceIp: ipNumber(options.sourceIp),
        targetIp: ipNumber(target.ip),
        sourcePort: firstSourcePort + flow,
        targetPort: options.targetPort ?? SINK_PORT,
      };
      writeUdpHeaders(
        this.kernel.bytes,
        FRAMES_OFFSET + flow * this.strideBytes + FRAME_PAD_BYTES,
        headers,
        payloadBytes,
      );
    }
  }
}
