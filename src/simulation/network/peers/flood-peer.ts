/**
 * Numbered frames at a seeded rate and mix, for the scripted guest, which checks every byte of them; and the judge of the
 * frames that the guest sends of its own accord.
 *
 *   burst due (rhythm) -> frames of some flow, shape and size -> wire           streams count up, one per flow
 *   wire -> checkFrame: damaged? that is a broken promise
 */
import { macBytes } from '../../../hardware/wire/frames.js';
import { ARRIVAL_NEW, ARRIVAL_REORDERED, SequenceTracker } from '../../../hardware/wire/sequence-tracker.js';
import type { FrameSink } from '../../../hardware/wire/wire.js';
import { MAX_FRAME_BYTES } from '../../../hardware/wire/wire.js';
import {
  checkFrame,
  MIN_NUMBERED_BYTES,
  type NumberedFrame,
  writeNumberedFrame,
} from '../../guests/frame-format.js';
import {
  Complaints,
  GapWatch,
  type Peer,
  type PeerCounts,
  type PeerOptions,
  type TrafficMix,
} from './peer.js';
import { TrafficRhythm } from './traffic-rhythm.js';

export interface FloodOptions extends PeerOptions {
  /** The guest's address. */
  readonly target: string;
  readonly traffic: TrafficMix;
  /** Flows differ in their source address, and so in the queue that a card chooses. */
  readonly flows?: number;
}

const DEFAULT_FLOWS = 4;
/** One frame in so many goes to everybody. */
const BROADCAST_CHANCE = 1 / 64;
const BROADCAST = new Uint8Array(6).fill(0xff);
const RECEIVE_BUDGET = 1000;
const IPV4_TYPE = 0x0800;
const VLAN_TYPE = 0x8100;
const TCP = 6;

export class FloodPeer implements Peer {
  sent = 0;
  answered = 0;
  readonly #o: FloodOptions;
  readonly #mac: Uint8Array;
  readonly #target: Uint8Array;
  readonly #frame = new Uint8Array(MAX_FRAME_BYTES);
  /** Next number of each flow's stream. */
  readonly #numbers: number[];
  readonly #complaints = new Complaints();
  readonly #gaps = new GapWatch();
  readonly #rhythm: TrafficRhythm;
  readonly #trackers = new Map<number, SequenceTracker>();
  #duplicates = 0;
  #stopBurst: (() => void) | null = null;

  constructor(options: FloodOptions) {
    this.#o = options;
    this.#rhythm = new TrafficRhythm(options.choices.fork('rhythm'));
    this.#mac = macBytes(options.mac);
    this.#target = macBytes(options.target);
    this.#numbers = new Array<number>(options.flows ?? DEFAULT_FLOWS).fill(0);
    options.wire.onWake = () => options.wire.receive(this.#take, RECEIVE_BUDGET);
  }

  start(): void {
    if (this.#stopBurst === null) this.#planBurst();
  }

  stop(): void {
    this.#stopBurst?.();
    this.#stopBurst = null;
  }

  complaints(): readonly string[] {
    return this.#complaints.list;
  }

  counts(): PeerCounts {
    return {
      sent: this.sent,
      received: this.answered,
      corrupt: this.#complaints.count,
      duplicate: this.#duplicates,
      longestGapNs: this.#gaps.longestNs,
    };
  }

  close(): Promise<void> {
    this.stop();
    return this.#o.wire.close();
  }

  #planBurst(): void {
    const { scheduler, choices, traffic } = this.#o;
    const frames = choices.between(1, 2 * traffic.burst - 1);
    const meanNs = (frames * 1e9) / traffic.framesPerSecond;
    const inNs = choices.between(1, Math.max(1, Math.round(2 * meanNs)));
    const dueInNs = this.#rhythm.stretch(inNs, scheduler.nowNs());
    this.#stopBurst = scheduler.atHardware(dueInNs, 'burst', () => {
      for (let i = 0; i < frames; i++) this.#send();
      this.#o.wire.flush();
      this.#planBurst();
    });
  }

  #send(): void {
    const { choices, traffic, wire } = this.#o;
    const stream = choices.int(this.#numbers.length);
    const frame: NumberedFrame = {
      shape: choices.pick(['raw', 'ipv4', 'udp', 'udp']),
      target: choices.chance(BROADCAST_CHANCE) ? BROADCAST : this.#target,
      source: this.#mac,
      stream,
      flow: stream,
      number: this.#numbers[stream]!++,
      bytes: Math.max(MIN_NUMBERED_BYTES, choices.between(traffic.minBytes, traffic.maxBytes)),
    };
    writeNumberedFrame(this.#frame, frame);
    if (wire.transmit(this.#frame, 0, frame.bytes)) this.sent++;
  }

  readonly #take: FrameSink = (bytes, offset, length) => {
    const frame = bytes.subarray(offset, offset + length);
    const verdict = checkFrame(frame, length, true);
    if (verdict.kind === 'foreign') return true;
    const nowNs = this.#o.scheduler.nowNs();
    if (verdict.kind === 'damaged') {
      const { stream, number, at } = verdict;
      this.#complaints.add(
        `a frame of ${length} bytes from the guest (stream ${stream.toString(16)}, number ${number}) is damaged at byte ${at}`,
      );
      return true;
    }
    this.#gaps.arrived(nowNs);
    if (isSegment(frame) || this.#isNew(verdict.stream, verdict.number)) this.answered++;
    else this.#duplicates++;
    return true;
  };

  #isNew(stream: number, number: number): boolean {
    let tracker = this.#trackers.get(stream);
    if (tracker === undefined) {
      tracker = new SequenceTracker();
      this.#trackers.set(stream, tracker);
    }
    const arrival = tracker.accept(number);
    return arrival === ARRIVAL_NEW || arrival === ARRIVAL_REORDERED;
  }
}

/** Of the guest's TCP stream: its number is a byte's, not a frame's. */
function isSegment(frame: Uint8Array): boolean {
  const tag = frame[12] === VLAN_TYPE >> 8 && frame[13] === 0 ? 4 : 0;
  return frame[12 + tag] === IPV4_TYPE >> 8 && frame[13 + tag] === 0 && frame[23 + tag] === TCP;
}
