/**
 * MAC address -> port, bounded, with ageing: an open-addressing hash table in typed arrays, so that learning allocates
 * nothing. Addresses are given as their upper 16 and lower 32 bits.
 */

const EMPTY = -1;
/** Slots per station the table may hold: keeps probe chains short. */
const SLOTS_PER_STATION = 2;
/** A station that has moved so lately moves again at once: a late frame of its old port's is no reason to hold the new one up. */
const SETTLED_AFTER_MS = 1000;

export class MacTable {
  size = 0;
  moves = 0;
  aged = 0;
  refused = 0;
  private readonly maxStations: number;
  private readonly ageMs: number;
  private readonly mask: number;
  private readonly high: Int32Array;
  private readonly low: Int32Array;
  private readonly port: Int32Array;
  private readonly seenMs: Float64Array;
  private readonly movedMs: Float64Array;

  constructor(maxStations: number, ageMs: number) {
    this.maxStations = maxStations;
    this.ageMs = ageMs;
    const slots = 2 ** Math.ceil(Math.log2(Math.max(2, maxStations * SLOTS_PER_STATION)));
    this.mask = slots - 1;
    this.high = new Int32Array(slots);
    this.low = new Int32Array(slots);
    this.port = new Int32Array(slots).fill(EMPTY);
    this.seenMs = new Float64Array(slots);
    this.movedMs = new Float64Array(slots);
  }

  /** The port behind which the station was last heard, or -1. */
  lookup(high: number, low: number): number {
    return this.port[this.slotOf(high, low)]!;
  }

  /** False: it moves, and was heard at its old port less than `quietMs` ago. */
  learn(high: number, low: number, port: number, nowMs: number, quietMs = 0): boolean {
    const slot = this.slotOf(high, low);
    const known = this.port[slot]!;
    if (known === EMPTY) {
      if (this.size >= this.maxStations) {
        this.refused++;
        return true;
      }
      this.high[slot] = high;
      this.low[slot] = low | 0;
      this.movedMs[slot] = Number.NEGATIVE_INFINITY;
      this.size++;
    } else if (known !== port) {
      const hasSettled = nowMs - this.movedMs[slot]! >= SETTLED_AFTER_MS;
      if (hasSettled && nowMs - this.seenMs[slot]! < quietMs) return false;
      this.movedMs[slot] = nowMs;
      this.moves++;
    }
    this.port[slot] = port;
    this.seenMs[slot] = nowMs;
    return true;
  }

  countOf(port: number): number {
    let count = 0;
    for (const value of this.port) if (value === port) count++;
    return count;
  }

  forgetPort(port: number): void {
    this.rebuild((slot) => this.port[slot] !== port);
  }

  forgetOlderThan(nowMs: number): void {
    const before = this.size;
    this.rebuild((slot) => nowMs - this.seenMs[slot]! < this.ageMs);
    this.aged += before - this.size;
  }

  /** The station's slot, or the empty one where it would go. */
  private slotOf(high: number, low: number): number {
    let slot = (Math.imul(low ^ (high * 0x9e3779b1), 0x85ebca6b) >>> 7) & this.mask;
    while (this.port[slot] !== EMPTY && (this.low[slot] !== (low | 0) || this.high[slot] !== high)) {
      slot = (slot + 1) & this.mask;
    }
    return slot;
  }

  /** Keeps some entries and puts them where an empty table would: no tombstones, so probe chains never grow. */
  private rebuild(keep: (slot: number) => boolean): void {
    const kept: [number, number, number, number, number][] = [];
    let dropped = false;
    for (let slot = 0; slot <= this.mask; slot++) {
      if (this.port[slot] === EMPTY) continue;
      const times = [this.seenMs[slot]!, this.movedMs[slot]!] as const;
      if (keep(slot)) kept.push([this.high[slot]!, this.low[slot]!, this.port[slot]!, ...times]);
      else dropped = true;
    }
    if (!dropped) return;
    this.port.fill(EMPTY);
    for (const [high, low, port, seenMs, movedMs] of kept) {
      const slot = this.slotOf(high, low);
      this.high[slot] = high;
      this.low[slot] = low;
      this.port[slot] = port;
      this.seenMs[slot] = seenMs;
      this.movedMs[slot] = movedMs;
    }
    this.size = kept.length;
  }
}
