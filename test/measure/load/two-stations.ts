/**
 * Two stations on one cable in virtual time: the load under test and a guest played by the test. `settle` steps both
 * until nothing moves; `run` lets virtual time pass. A fault may drop, double, delay or corrupt what crosses the cable.
 */
import { createCable } from '../../../src/hardware/wire/cable.js';
import type { FrameSink, Wire } from '../../../src/hardware/wire/wire.js';
import { TrafficPeer } from '../../../src/measure/load/traffic-peer.js';
import type { ManualClock } from '../../hardware/wire/manual-clock.js';
import { manualClock } from '../../hardware/wire/manual-clock.js';

/** What becomes of a frame; a late one arrives after LATE_MS. */
export type Fate = 'pass' | 'drop' | 'double' | 'corrupt' | 'late';

export const LOAD_IP = '10.0.0.1';
export const GUEST_IP = '10.0.0.2';
export const GUEST_MAC = '52:54:00:00:00:02';

export interface TwoStations {
  readonly clock: ManualClock;
  readonly load: TrafficPeer;
  readonly guest: TrafficPeer;
  /** Frames under way for longer, in the order in which they arrive. */
  readonly late: { readonly dueNs: number; readonly frame: Uint8Array; readonly to: Wire }[];
  /** Decides about every frame; set it to make faults. */
  fate: (towardsGuest: boolean, number: number) => Fate;
  settle(): void;
  run(ms: number, tickMs?: number): void;
}

export function twoStations(): TwoStations {
  const clock = manualClock();
  const [loadWire, loadSide] = createCable();
  const [guestWire, guestSide] = createCable();
  const stations: TwoStations = {
    clock,
    late: [],
    load: new TrafficPeer({ wire: loadWire, clock, mac: '52:54:00:00:00:01', ip: LOAD_IP }),
    guest: new TrafficPeer({ wire: guestWire, clock, mac: GUEST_MAC, ip: GUEST_IP }),
    fate: () => 'pass',
    settle() {
      for (const nowNs = clock.nowNs(); this.late.length > 0 && this.late[0]!.dueNs <= nowNs; ) {
        const { frame, to } = this.late.shift()!;
        to.transmit(frame, 0, frame.length);
        to.flush();
      }
      for (let round = 0; round < 10_000; round++) {
        let work = this.load.step();
        work += carry(this, loadSide, guestSide, true);
        work += this.guest.step();
        work += carry(this, guestSide, loadSide, false);
        if (work === 0) return;
      }
      throw new Error('the two stations never come to rest');
    },
    run(ms, tickMs = 1) {
      for (let passed = 0; passed < ms; passed += tickMs) {
        this.settle();
        clock.advanceMs(tickMs);
      }
      this.settle();
    },
  };
  return stations;
}

const LATE_MS = 150;

let number = 0;

function carry(stations: TwoStations, from: Wire, to: Wire, towardsGuest: boolean): number {
  const sink: FrameSink = (bytes, offset, length) => {
    const fate = stations.fate(towardsGuest, number++);
    if (fate === 'drop') return true;
    const copy = bytes.slice(offset, offset + length);
    if (fate === 'late') {
      stations.late.push({ dueNs: stations.clock.nowNs() + LATE_MS * 1e6, frame: copy, to });
      return true;
    }
    if (fate === 'corrupt') copy[copy.length - 10]! ^= 0x10;
    to.transmit(copy, 0, length);
    if (fate === 'double') to.transmit(copy, 0, length);
    return true;
  };
  const count = from.receive(sink, 1000);
  to.flush();
  return count;
}
