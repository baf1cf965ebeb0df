/**
 * A generator and a sink as one wire that is steered from another thread: the NIC's worker holds it, makes the load
 * itself and judges what the guest sends, while the main thread sets the rate and reads the counters in shared memory.
 *
 *     main thread: GeneratorControl ==shared words==> NIC's worker: openGeneratorWire(data) -> Wire
 *
 * It answers ARP for its own address, so that a guest can find it.
 */
import type { Clock } from '../clock.js';
import { realClock } from '../clock.js';
import type { ArrivalCounts } from './arrival-stats.js';
import { ArrivalStats } from './arrival-stats.js';
import {
  ARP_REPLY,
  ARP_REQUEST,
  ETHERTYPE_ARP,
  FrameReader,
  ipNumber,
  MIN_FRAME_BYTES,
  macBytes,
  PROTOCOL_UDP,
  readU16,
  readU32,
  writeArp,
} from './frames.js';
import type { FrameGeneratorOptions } from './generator.js';
import { FrameGenerator } from './generator.js';
import type { FrameSink, Wire } from './wire.js';

/** What crosses to the worker; structured-cloneable. */
export interface GeneratorWireData {
  readonly options: Omit<FrameGeneratorOptions, 'clock' | 'onTransmit' | 'rateFps'>;
  readonly shared: SharedArrayBuffer;
}

/** Doubles in the shared memory: one writer each; a reader sees a value at most one step old. */
const SLOT = {
  /** Written by the control: frames per second; 0 stops. */
  rate: 0,
  sent: 1,
  skipped: 2,
  datagrams: 3,
  payloadBytes: 4,
  corrupt: 5,
  lost: 6,
  duplicates: 7,
  reordered: 8,
  longestGapMs: 9,
  foreign: 10,
  /** Written by the control: how many of the flows; 0: all. */
  flows: 11,
} as const;
const SLOTS = 16;
/** Reports are put together this often: they cost more than a frame. */
const REPORT_INTERVAL_NS = 5e6;

export interface GeneratorCounters
  extends Pick<
    ArrivalCounts,
    'datagrams' | 'payloadBytes' | 'corrupt' | 'lost' | 'duplicates' | 'reordered' | 'longestGapMs'
  > {
  /** Frames the holder took. */
  readonly sent: number;
  /** Frames whose time passed while the holder was not receiving. */
  readonly skipped: number;
  /** What the guest sent that is no test frame. */
  readonly foreign: number;
}

/** The main thread's end. */
export class GeneratorControl {
  readonly data: GeneratorWireData;
  private readonly slots: Float64Array;

  /** The generator is silent until setRate(). */
  constructor(options: GeneratorWireData['options']) {
    this.data = { options, shared: new SharedArrayBuffer(SLOTS * 8) };
    this.slots = new Float64Array(this.data.shared);
  }

  /** Frames per second; Infinity for as many as the holder takes, 0 for none. Takes effect within a millisecond or so. */
  setRate(rateFps: number): void {
    this.slots[SLOT.rate] = rateFps;
  }

  /** Only the first `flows` of the flows from now on. */
  setFlows(flows: number): void {
    this.slots[SLOT.flows] = flows;
  }

  /** How a NIC's worker makes the other end: a module's URL, the function in it, and what it is called with. */
  get wire(): { readonly module: string; readonly make: string; readonly data: GeneratorWireData } {
    return { module: import.meta.url, make: openGeneratorWire.name, data: this.data };
  }

  counters(): GeneratorCounters {
    const of = (name: keyof typeof SLOT): number => this.slots[SLOT[name]]!;
    return {
      sent: of('sent'),
      skipped: of('skipped'),
      datagrams: of('datagrams'),
      payloadBytes: of('payloadBytes'),
      corrupt: of('corrupt'),
      lost: of('lost'),
      duplicates: of('duplicates'),
      reordered: of('reordered'),
      longestGapMs: of('longestGapMs'),
      foreign: of('foreign'),
    };
  }
}

/** The worker's end. */
export function openGeneratorWire(data: GeneratorWireData, clock: Clock = realClock): Wire {
  return new GeneratorWire(data, clock);
}

class GeneratorWire implements Wire {
  readonly linkUp = true;
  private readonly clock: Clock;
  private readonly slots: Float64Array;
  private readonly generator: FrameGenerator;
  private readonly arrivals = new ArrivalStats();
  private readonly reader = new FrameReader();
  private readonly mac: Uint8Array;
  private readonly ip: number;
  /** Answers to ARP, offered before test frames. */
  private readonly replies: Uint8Array[] = [];
  private foreign = 0;
  private rateFps = 0;
  private nextReportNs = 0;
  private timer: NodeJS.Timeout | null = null;
  private wake: (() => void) | null = null;

  constructor(data: GeneratorWireData, clock: Clock) {
    this.clock = clock;
    this.slots = new Float64Array(data.shared);
    this.mac = macBytes(data.options.sourceMac);
    this.ip = ipNumber(data.options.sourceIp);
    const onTransmit: FrameSink = (bytes, offset, length) => this.judge(bytes, offset, length);
    this.generator = new FrameGenerator({ ...data.options, clock, onTransmit });
    this.generator.stop();
  }

  get stats(): Wire['stats'] {
    return this.generator.stats;
  }

  get onWake(): (() => void) | null {
    return this.wake;
  }

  /** No event announces a frame that is due: a sleeping holder is woken every millisecond to look. */
  set onWake(wake: (() => void) | null) {
    this.wake = wake;
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = wake === null ? null : setInterval(wake, 1);
  }

  receive(sink: FrameSink, budget: number): number {
    const wanted = this.slots[SLOT.rate]!;
    if (wanted !== this.rateFps) this.changeRate(wanted);
    const flows = this.slots[SLOT.flows]!;
    if (flows !== 0 && flows !== this.generator.activeFlows) this.generator.setFlows(flows);
    while (this.replies.length > 0) {
      const reply = this.replies[0]!;
      if (!sink(reply, 0, reply.length)) return 0;
      this.replies.shift();
    }
    return this.generator.receive(sink, budget);
  }

  transmit(bytes: Uint8Array, offset: number, length: number): boolean {
    return this.generator.transmit(bytes, offset, length);
  }

  flush(): void {
    this.slots[SLOT.sent] = this.generator.sentFrames;
    const nowNs = this.clock.nowNs();
    if (nowNs >= this.nextReportNs) {
      this.nextReportNs = nowNs + REPORT_INTERVAL_NS;
      this.publish();
    }
  }

  async close(): Promise<void> {
    this.onWake = null;
    this.publish();
    await this.generator.close();
  }

  private changeRate(rateFps: number): void {
    this.rateFps = rateFps;
    if (rateFps > 0) {
      this.generator.setRate(rateFps);
      this.generator.start();
    } else {
      this.generator.stop();
    }
  }

  private judge(bytes: Uint8Array, offset: number, length: number): boolean {
    const reader = this.reader;
    if (!reader.parse(bytes, offset, length)) {
      this.foreign++;
    } else if (reader.protocol === PROTOCOL_UDP) {
      const { payloadOffset, payloadBytes, sourcePort } = reader;
      this.arrivals.take(bytes, payloadOffset, payloadBytes, sourcePort, this.clock.nowNs());
    } else {
      this.foreign++;
      if (reader.etherType === ETHERTYPE_ARP) this.answerArp(bytes, reader.networkOffset);
    }
    return true;
  }

  private answerArp(bytes: Uint8Array, arp: number): void {
    if (readU16(bytes, arp + 6) !== ARP_REQUEST || readU32(bytes, arp + 24) !== this.ip) return;
    const reply = new Uint8Array(MIN_FRAME_BYTES);
    const asker = bytes.slice(arp + 8, arp + 14);
    writeArp(reply, 0, {
      operation: ARP_REPLY,
      senderMac: this.mac,
      senderIp: this.ip,
      targetMac: asker,
      targetIp: readU32(bytes, arp + 14),
      frameTargetMac: asker,
    });
    // One asker needs one answer; a flood of questions is not worth a queue.
    if (this.replies.length < 16) this.replies.push(reply);
  }

  private publish(): void {
    const { slots, generator } = this;
    const counts = this.arrivals.counts();
    slots[SLOT.skipped] = generator.skipped;
    slots[SLOT.datagrams] = counts.datagrams;
    slots[SLOT.payloadBytes] = counts.payloadBytes;
    slots[SLOT.corrupt] = counts.corrupt;
    slots[SLOT.lost] = counts.lost;
    slots[SLOT.duplicates] = counts.duplicates;
    slots[SLOT.reordered] = counts.reordered;
    slots[SLOT.longestGapMs] = counts.longestGapMs;
    slots[SLOT.foreign] = this.foreign;
  }
}
