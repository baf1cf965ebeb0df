/**
 * The packet-sink image by itself: its core module as compiled, against the real card in the same thread. Time inside
 * the guest's calls (the card's, mostly) is taken off; what is left is driver and verification.
 */
import { FrameGenerator } from '../../src/hardware/wire/generator.js';
import type { Wire } from '../../src/hardware/wire/wire.js';
import { type Benchmark, type BenchRow, rowOf } from '../../src/measure/benchmark.js';
import { GUEST_IP, HOST_IP, HOST_MAC } from '../guest-images/frames.js';
import { GUEST_MAC, GuestMachine, type Import } from '../guest-images/guest-machine.js';
import { untilUp } from '../guest-images/station.js';

const WARM_UP_PACKETS = 200_000;
const RUN_PACKETS = 300_000;
const RUNS = 5;
const VFGPRC = 0x101c;
const CASES = [
  { frameBytes: 64, label: '64 B', atMost: 120 },
  { frameBytes: 1518, label: '1500 B', atMost: 500 },
] as const;

interface Samples {
  readonly guestNs: number[];
  readonly callsPerPacket: number[];
}

function measure(frameBytes: number): Samples {
  let insideMs = 0;
  let calls = 0;
  const timed =
    (call: Import): Import =>
    (...values) => {
      const startMs = performance.now();
      try {
        return call(...values);
      } finally {
        insideMs += performance.now() - startMs;
        calls++;
      }
    };
  let running = false;
  let machine: GuestMachine | null = null;
  const generator = new FrameGenerator({
    clock: { nowNs: () => machine?.timeNs ?? 0 },
    sourceMac: HOST_MAC,
    targetMac: GUEST_MAC,
    sourceIp: HOST_IP,
    targetIp: GUEST_IP,
    frameBytes,
    flows: 16,
  });
  const wire: Wire = {
    stats: generator.stats,
    linkUp: true,
    onWake: null,
    receive: (sink, budget) => (running ? generator.receive(sink, budget) : 0),
    transmit: () => true,
    flush: () => {},
    close: async () => {},
  };
  const guest = new GuestMachine('packet-sink', wire, { commandLine: 'ip=10.0.0.2', around: timed });
  machine = guest;
  const packets = (): number => guest.vf.read32(0, VFGPRC);
  const samples: Samples = { guestNs: [], callsPerPacket: [] };
  guest.run(
    (function* () {
      yield* untilUp(guest);
      running = true;
      yield () => packets() >= WARM_UP_PACKETS;
      for (let run = 0; run < RUNS; run++) {
        const start = { atMs: performance.now(), insideMs, calls, packets: packets() };
        yield () => packets() >= start.packets + RUN_PACKETS;
        const done = packets() - start.packets;
        const guestMs = performance.now() - start.atMs - (insideMs - start.insideMs);
        samples.guestNs.push((guestMs * 1e6) / done);
        samples.callsPerPacket.push((calls - start.calls) / done);
      }
    })(),
  );
  return samples;
}

export const benchmark: Benchmark = {
  name: 'packet-sink',
  what: 'the packet-sink image by itself, without monitor: driver and verification, per packet',
  async run() {
    const rows: BenchRow[] = [];
    for (const { frameBytes, label, atMost } of CASES) {
      const { guestNs, callsPerPacket } = measure(frameBytes);
      rows.push(rowOf(`${label}, in the guest, ns per packet`, guestNs, { atMost }));
      rows.push(rowOf(`${label}, host calls per packet`, callsPerPacket));
    }
    return rows;
  },
};
