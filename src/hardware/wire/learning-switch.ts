/**
 * An Ethernet switch that learns which station is behind which port. One `step()` moves what arrived at every port:
 * learn the source, look the destination up, then forward, flood or filter. A station that is heard behind another
 * port has moved (that is how an announcement after a migration redirects traffic). A port that loses its link
 * forgets its stations.
 *
 * A switch of silicon takes frames as they come. This one looks at its ports in turn, and where its wires are sockets, what a
 * station sent before it moved may still wait in one: `moveQuietMs` has the new port wait until the old one has been looked
 * at and was quiet for a moment, in which a host that was behind its socket hands over the rest.
 */
import type { Clock } from '../clock.js';
import { MacTable } from './mac-table.js';
import type { FrameSink, Wire, WireStats } from './wire.js';

export interface LearningSwitchOptions {
  readonly clock: Clock;
  /** Stations remembered at most; further ones are flooded to until old ones age. */
  readonly maxStations?: number;
  /** A silent station is forgotten after this long. */
  readonly ageMs?: number;
  /** How long a station must have been quiet at its old port before it is heard at another; 0: it is followed at once. */
  readonly moveQuietMs?: number;
}

const DEFAULT_MAX_STATIONS = 4096;
const DEFAULT_AGE_MS = 300_000;
const AGEING_INTERVAL_NS = 1e9;
const MIN_FRAME_BYTES = 14;
/** For `moveQuietMs` between sockets. No pause of a migration is much shorter: who has read all by then is not held up. */
export const SOCKET_QUIET_MS = 2;
/**
 * A port is held no longer than so: two stations of one address, both talking, are not this switch's to part. Both count: a
 * switch that is short of a core takes few steps, one that is busy takes many at once.
 */
const LONGEST_HOLD_MS = 100;
const LONGEST_HOLD_STEPS = 100;

export interface SwitchPortStats {
  readonly name: string;
  readonly linkUp: boolean;
  readonly stations: number;
  /** Frames that were sent to the port their destination was learnt at. */
  readonly forwarded: number;
  /** Frames sent to every other port. */
  readonly flooded: number;
  /** Frames whose destination is behind the port they came from. */
  readonly filtered: number;
  /** Frames shorter than an Ethernet header. */
  readonly malformed: number;
  readonly wire: Readonly<WireStats>;
}

export interface SwitchStats {
  readonly ports: readonly SwitchPortStats[];
  readonly stations: number;
  /** How often a station was heard behind another port than before. */
  readonly moves: number;
  readonly aged: number;
  /** Stations that were not learnt because the table was full. */
  readonly tableFull: number;
}

interface Port {
  readonly name: string;
  readonly wire: Wire;
  readonly sink: FrameSink;
  linkWasUp: boolean;
  /** Since when its next frame has waited for another port; 0: it does not. */
  heldSinceMs: number;
  heldSteps: number;
  forwarded: number;
  flooded: number;
  filtered: number;
  malformed: number;
}

export class LearningSwitch {
  /** Called when a frame arrived at any port while the holder may be asleep. */
  onWake: (() => void) | null = null;
  private readonly clock: Clock;
  private readonly ports: Port[] = [];
  private readonly table: MacTable;
  private readonly moveQuietMs: number;
  private nextAgeingNs = 0;
  /** Time of this step: one reading of the clock serves every frame of it. */
  private nowMs = 0;
  /** How long a station that moves must have been quiet. */
  private quietMs = 0;
  private isHeld = false;

  constructor(options: LearningSwitchOptions) {
    this.clock = options.clock;
    this.moveQuietMs = options.moveQuietMs ?? 0;
    this.table = new MacTable(options.maxStations ?? DEFAULT_MAX_STATIONS, options.ageMs ?? DEFAULT_AGE_MS);
  }

  /** Plugs a wire in. The switch steps it and closes it from now on. Returns the port's index. */
  addPort(name: string, wire: Wire): number {
    const index = this.ports.length;
    const port: Port = {
      name,
      wire,
      sink: (bytes, offset, length) => this.forward(index, bytes, offset, length),
      linkWasUp: wire.linkUp,
      heldSinceMs: 0,
      heldSteps: 0,
      forwarded: 0,
      flooded: 0,
      filtered: 0,
      malformed: 0,
    };
    this.ports.push(port);
    wire.onWake = () => this.onWake?.();
    return index;
  }

  /** Moves at most `budget` frames per port. Returns how many were moved. */
  step(budget = 256): number {
    const nowNs = this.clock.nowNs();
    this.nowMs = nowNs / 1e6;
    if (nowNs >= this.nextAgeingNs) {
      this.table.forgetOlderThan(this.nowMs);
      this.nextAgeingNs = nowNs + AGEING_INTERVAL_NS;
    }
    let moved = 0;
    // no move before every old port has been looked at
    const first = this.moveQuietMs > 0 ? Number.POSITIVE_INFINITY : 0;
    for (const port of this.ports) moved += this.take(port, budget, first);
    for (const port of this.ports) {
      if (port.heldSinceMs === 0) continue;
      const isPatient =
        port.heldSteps++ < LONGEST_HOLD_STEPS || this.nowMs - port.heldSinceMs < LONGEST_HOLD_MS;
      moved += this.take(port, budget, isPatient ? this.moveQuietMs : 0);
    }
    for (const port of this.ports) port.wire.flush();
    this.watchLinks();
    return moved;
  }

  /** When step() is to be called though no port wakes its holder; Infinity: no need. */
  nextDueNs(): number {
    const isHeld = this.ports.some(({ heldSinceMs }) => heldSinceMs !== 0);
    return isHeld ? (this.nowMs + this.moveQuietMs) * 1e6 : Number.POSITIVE_INFINITY;
  }

  stats(): SwitchStats {
    return {
      ports: this.ports.map((port, index) => ({
        name: port.name,
        linkUp: port.wire.linkUp,
        stations: this.table.countOf(index),
        forwarded: port.forwarded,
        flooded: port.flooded,
        filtered: port.filtered,
        malformed: port.malformed,
        wire: { ...port.wire.stats },
      })),
      stations: this.table.size,
      moves: this.table.moves,
      aged: this.table.aged,
      tableFull: this.table.refused,
    };
  }

  /** Closes every port's wire. */
  async close(): Promise<void> {
    await Promise.all(this.ports.map((port) => port.wire.close()));
  }

  private take(port: Port, budget: number, quietMs: number): number {
    this.quietMs = quietMs;
    this.isHeld = false;
    const taken = port.wire.receive(port.sink, budget);
    if (!this.isHeld) {
      port.heldSinceMs = 0;
    } else if (taken > 0 || port.heldSinceMs === 0) {
      port.heldSinceMs = this.nowMs;
      port.heldSteps = 0;
    }
    return taken;
  }

  private watchLinks(): void {
    for (let index = 0; index < this.ports.length; index++) {
      const port = this.ports[index]!;
      const linkUp = port.wire.linkUp;
      if (port.linkWasUp && !linkUp) this.table.forgetPort(index);
      port.linkWasUp = linkUp;
    }
  }

  /** What a full port cannot take is lost there. False: the frame waits for what its station sent from its old port. */
  private forward(from: number, bytes: Uint8Array, offset: number, length: number): boolean {
    const source = this.ports[from]!;
    if (length < MIN_FRAME_BYTES) {
      source.malformed++;
      return true;
    }
    const sourceHigh = (bytes[offset + 6]! << 8) | bytes[offset + 7]!;
    const sourceLow = readU32(bytes, offset + 8);
    if (
      (sourceHigh & 0x100) === 0 &&
      !this.table.learn(sourceHigh, sourceLow, from, this.nowMs, this.quietMs)
    ) {
      this.isHeld = true;
      return false;
    }

    const targetHigh = (bytes[offset]! << 8) | bytes[offset + 1]!;
    const to = (targetHigh & 0x100) !== 0 ? -1 : this.table.lookup(targetHigh, readU32(bytes, offset + 2));
    if (to === from) {
      source.filtered++;
    } else if (to >= 0) {
      source.forwarded++;
      this.ports[to]!.wire.transmit(bytes, offset, length);
    } else {
      source.flooded++;
      for (let index = 0; index < this.ports.length; index++) {
        const port = this.ports[index]!;
        if (index !== from && port.wire.linkUp) port.wire.transmit(bytes, offset, length);
      }
    }
    return true;
  }
}

function readU32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}
