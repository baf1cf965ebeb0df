/**
 * One core of a self-virtualizing device, as a step function: it takes what its own VIFs send and what comes from its wire,
 * and puts each frame straight into the rings of the VIF that it is for, whichever core that one belongs to.
 *
 *   own VIFs --copy--> stage (the core's own memory) --copy--> another VIF's buffers, or the wire
 *   wire     -----------------------------------------copy--> a VIF's buffers
 *
 * A VIF is served under its lock, by its own core or by the one that has a frame for it. No core ever holds one lock and
 * waits for another: what was taken from a VIF lies in the stage by the time somebody else's is asked for.
 */
import { type Bytes, BytesCache, bytesOf } from '../../hardware/bytes.js';
import type { Wire } from '../../hardware/wire/wire.js';
import { NetHeader } from '../net-header.js';
import type { FrameTaker, NetPort } from '../net-port.js';
import { FEATURE } from '../spec.js';
import { RateMeter } from './rate-meter.js';
import type { VifWords } from './vif-words.js';

/** Frames that one turn takes of a VIF, of the wire, and in all. */
const VIF_FRAMES = 32;
const WIRE_FRAMES = 64;
const STAGE_FRAMES = 128;
const SHORTEST_FRAME_BYTES = 60;
const VLAN_TYPE = 0x8100;
const HEADER_BYTES = 14;

/** A VIF as a core sees it. */
export interface VifPort {
  readonly port: NetPort;
  readonly words: VifWords;
  /** This core serves what it sends. */
  readonly isOwn: boolean;
}

interface Staged {
  readonly header: NetHeader;
  from: VifPort | null;
  length: number;
}

export interface DeviceSwitchOptions {
  readonly wire: Wire;
  /** Longest frame without its checksum. */
  readonly frameBytes: number;
}

export class DeviceSwitch implements FrameTaker {
  readonly into: Bytes;
  offset = 0;
  readonly roomBytes: number;
  readonly #wire: Wire;
  readonly #vifs = new Set<VifPort>();
  readonly #stations = new Map<number, VifPort>();
  readonly #meters = new Map<VifPort, RateMeter>();
  readonly #stage: readonly Staged[];
  readonly #slotBytes: number;
  readonly #wireBytes = new BytesCache();
  #staged = 0;
  #moved = 0;
  /** Whose frames are being taken. */
  #source: VifPort | null = null;
  #sourceDueNs = 0;
  /** The VIF that is being delivered to, its lock held. */
  #held: VifPort | null = null;
  #nowNs = 0;
  #dueNs = Infinity;

  constructor({ wire, frameBytes }: DeviceSwitchOptions) {
    this.#wire = wire;
    this.roomBytes = frameBytes;
    this.#slotBytes = (frameBytes + 63) & ~63;
    this.into = bytesOf(new Uint8Array(STAGE_FRAMES * this.#slotBytes));
    this.#stage = Array.from({ length: STAGE_FRAMES }, () => ({
      header: new NetHeader(),
      from: null,
      length: 0,
    }));
  }

  add(vif: VifPort): void {
    this.#vifs.add(vif);
    this.refresh(vif);
    if (vif.isOwn) this.#meters.set(vif, new RateMeter());
  }

  remove(vif: VifPort): void {
    this.#vifs.delete(vif);
    this.#meters.delete(vif);
    this.#forget(vif);
  }

  /** Its address may be another one: a guest that arrived has brought it. */
  refresh(vif: VifPort): void {
    this.#forget(vif);
    this.#stations.set(stationKey(vif.port.macLow, vif.port.macHigh), vif);
  }

  #forget(vif: VifPort): void {
    for (const [key, each] of this.#stations) if (each === vif) this.#stations.delete(key);
  }

  /** One turn. 0: nothing to do until somebody rings, or dueNs. */
  step(nowNs: number): number {
    this.#nowNs = nowNs;
    this.#dueNs = Infinity;
    try {
      return this.#turn();
    } finally {
      // whatever a turn dies of, no guest is left to wait for its device's lock
      this.#release();
    }
  }

  #turn(): number {
    let work = this.#wire.receive(this.#fromWire, WIRE_FRAMES);
    this.#release();
    this.#moved += work;
    for (const [vif, meter] of this.#meters) work += this.#collect(vif, meter);
    this.#moved += this.#staged;
    for (let slot = 0; slot < this.#staged; slot++) this.#forward(slot);
    this.#staged = 0;
    this.#release();
    this.#wire.flush();
    return work;
  }

  /** Frames taken from the wire and from its own VIFs. */
  get moved(): number {
    return this.#moved;
  }

  /** When a frame that had to wait for its VIF's rate may go. */
  get dueNs(): number {
    return this.#dueNs;
  }

  // --- what the core's own VIFs send ----------------------------------------------------------------------------------

  #collect(vif: VifPort, meter: RateMeter): number {
    if (this.#staged === STAGE_FRAMES) return 1;
    // locked just now: its holder may be gone by the next look, and what the guest rang for is still there
    if (!vif.port.enter()) return vif.port.isReady ? 1 : 0;
    this.#source = vif;
    this.#sourceDueNs = meter.dueNs(vif.words.rateMbps);
    try {
      return vif.port.transmit(this, VIF_FRAMES);
    } finally {
      vif.port.leave();
      this.#source = null;
    }
  }

  room(): boolean {
    if (this.#staged === STAGE_FRAMES) return false;
    if (this.#sourceDueNs > this.#nowNs) {
      this.#source!.words.countHeld();
      this.#dueNs = Math.min(this.#dueNs, this.#sourceDueNs);
      return false;
    }
    this.offset = this.#staged * this.#slotBytes;
    return true;
  }

  take(_from: NetPort, header: NetHeader, length: number): void {
    const source = this.#source!;
    const { view } = this.into;
    const sender = stationKey(view.getUint32(this.offset + 6, true), view.getUint16(this.offset + 10, true));
    const own = stationKey(source.port.macLow, source.port.macHigh);
    const isForged = source.words.checksSource && sender !== own;
    if (isForged || !source.words.passesVlan(vlanOf(view, this.offset, length))) {
      source.words.countSpoofed();
      return;
    }
    const meter = this.#meters.get(source)!;
    meter.count(length, this.#nowNs);
    this.#sourceDueNs = meter.dueNs(source.words.rateMbps);
    const staged = this.#stage[this.#staged++]!;
    staged.from = source;
    staged.length = length;
    staged.header.copyFrom(header);
  }

  #forward(slot: number): void {
    const { from, header, length } = this.#stage[slot]!;
    const at = slot * this.#slotBytes;
    const { view } = this.into;
    const isGroup = (view.getUint8(at) & 1) !== 0;
    const station = isGroup
      ? undefined
      : this.#stations.get(stationKey(view.getUint32(at, true), view.getUint16(at + 4, true)));
    const isLocal = station?.words.isHere === true;
    if (isLocal && station !== from) this.#toStation(station, at, length, header);
    for (const vif of this.#vifs) {
      if (vif === from || vif === station || !(isGroup || vif.words.takesAll)) continue;
      if (this.#finish(header, at, length)) this.#deliver(vif, this.into, at, length);
    }
    if (!isLocal && this.#finish(header, at, length)) this.#toWire(at, length);
  }

  /** What its driver does without is asked under its lock: since this core was there last it may be another driver. */
  #toStation(station: VifPort, at: number, length: number, header: NetHeader): void {
    if (!this.#enter(station, this.into, at, length)) return;
    const asItIs = station.port.has(FEATURE.guestCsum);
    if (asItIs || this.#finish(header, at, length))
      station.port.deliver(this.into, at, length, asItIs ? header : null);
  }

  /** The frame as it must be on a wire. */
  #finish(header: NetHeader, at: number, length: number): boolean {
    return !header.needsChecksum || header.completeChecksum(this.into, at, length);
  }

  #toWire(at: number, length: number): void {
    // short frames are padded on the way out, as every card does
    if (length < SHORTEST_FRAME_BYTES) this.into.u8.fill(0, at + length, at + SHORTEST_FRAME_BYTES);
    this.#wire.transmit(this.into.u8, at, Math.max(length, SHORTEST_FRAME_BYTES));
  }

  // --- what comes from the wire ---------------------------------------------------------------------------------------

  readonly #fromWire = (u8: Uint8Array, offset: number, length: number): boolean => {
    const frame = this.#wireBytes.wrap(u8);
    const { view } = frame;
    if (length < HEADER_BYTES || length > this.roomBytes) return true;
    if ((view.getUint8(offset) & 1) !== 0) {
      for (const vif of this.#vifs) this.#deliver(vif, frame, offset, length);
      return true;
    }
    const key = stationKey(view.getUint32(offset, true), view.getUint16(offset + 4, true));
    const station = this.#stations.get(key);
    if (station !== undefined) this.#deliver(station, frame, offset, length);
    for (const vif of this.#vifs) {
      if (vif !== station && vif.words.takesAll) this.#deliver(vif, frame, offset, length);
    }
    return true;
  };

  // --- into a guest's rings -------------------------------------------------------------------------------------------

  #deliver(vif: VifPort, frame: Bytes, at: number, length: number): void {
    if (this.#enter(vif, frame, at, length)) vif.port.deliver(frame, at, length, null);
  }

  /** The VIF's lock, while this core holds no other; for a frame that may pass. */
  #enter(vif: VifPort, frame: Bytes, at: number, length: number): boolean {
    if (!this.#passes(vif, frame, at, length)) {
      vif.words.countFiltered();
      return false;
    }
    if (this.#held === vif) return true;
    this.#release();
    if (!vif.port.enterInTurn()) {
      vif.words.countMissed();
      return false;
    }
    this.#held = vif;
    return true;
  }

  #passes(vif: VifPort, { view }: Bytes, at: number, length: number): boolean {
    const first = view.getUint8(at);
    const isBroadcast = first === 0xff && view.getUint32(at, true) === 0xffff_ffff;
    if ((first & 1) !== 0 && !isBroadcast && !vif.words.takesMulticast) return false;
    return vif.words.passesVlan(vlanOf(view, at, length));
  }

  #release(): void {
    this.#held?.port.leave();
    this.#held = null;
  }
}

function vlanOf(view: DataView, at: number, length: number): number {
  if (length < HEADER_BYTES + 4 || view.getUint16(at + 12) !== VLAN_TYPE) return -1;
  return view.getUint16(at + 14) & 0xfff;
}

export const stationKey = (low: number, high: number): number => (high & 0xffff) * 2 ** 32 + (low >>> 0);
