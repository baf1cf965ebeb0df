/**
 * Wire to guest: a generator in the NIC's own thread offers more than the guest can take, and the guest (packet-sink)
 * verifies every packet. Goodput is what the VF's counters say was delivered; CPU per packet is the threads' own account.
 */

import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadImage } from '../../src/guest/load-image.js';
import type { LoadedImage } from '../../src/guest/loaded-image.js';
import type { Nic } from '../../src/hypervisor/nic.js';
import type { VirtualMachine } from '../../src/hypervisor/vm.js';
import { MIN_RAM_BYTES } from '../../src/machine/layout.js';
import { type Benchmark, type BenchRow, rowOf } from '../../src/measure/benchmark.js';
import { pause, type SinkMachine, startSink, stopSink } from './sink-machine.js';

// dist/test/bench -> the repository
const IMAGE = fileURLToPath(
  new URL('../../../guest-images/packet-sink/build/packet-sink.wasm', import.meta.url),
);
const RUNS = 5;
const RUN_MS = 600;

interface Sample {
  readonly packetsPerS: number;
  readonly bitsPerS: number;
  readonly nicNsPerFrame: number;
  readonly vcpuNsPerPacket: number;
}

class Rig {
  readonly #machine: SinkMachine;
  readonly #nic: Nic;
  readonly #vm: VirtualMachine;

  static async open(image: LoadedImage, frameBytes: number): Promise<Rig> {
    return new Rig(await startSink(image, frameBytes, Infinity));
  }

  private constructor(machine: SinkMachine) {
    this.#machine = machine;
    this.#nic = machine.nic;
    this.#vm = machine.vm;
  }

  async sample(): Promise<Sample> {
    const before = await this.#look();
    await pause(RUN_MS);
    const after = await this.#look();
    const packets = after.packets - before.packets;
    const seconds = (after.atMs - before.atMs) / 1000;
    return {
      packetsPerS: packets / seconds,
      bitsPerS: ((after.octets - before.octets) * 8) / seconds,
      nicNsPerFrame: (after.nicNs - before.nicNs) / (after.offered - before.offered),
      vcpuNsPerPacket: (after.vcpuNs - before.vcpuNs) / packets,
    };
  }

  close(): Promise<void> {
    return stopSink(this.#machine);
  }

  async #look() {
    const { cpuNs } = await this.#nic.stats();
    const counters = this.#vm.vfs[0]!.view.statistics.read();
    return {
      atMs: performance.now(),
      packets: counters.goodPacketsReceived,
      octets: counters.goodOctetsReceived,
      offered: this.#machine.generator.counters().sent,
      nicNs: cpuNs ?? Number.NaN,
      vcpuNs: this.#vm.vcpuCpuNs ?? Number.NaN,
    };
  }
}

async function measure(image: LoadedImage, frameBytes: number): Promise<Sample[]> {
  const rig = await Rig.open(image, frameBytes);
  const samples: Sample[] = [];
  try {
    for (let i = 0; i < RUNS; i++) samples.push(await rig.sample());
  } finally {
    await rig.close();
  }
  return samples;
}

export const benchmark: Benchmark = {
  name: 'guest-receive',
  what: 'wire -> guest, every packet verified by the guest; more is offered than can be taken',
  async run() {
    const image = await loadImage(IMAGE, {
      ramBytes: MIN_RAM_BYTES,
      cacheDir: join(tmpdir(), 'srvm-bench-images'),
    });
    const rows: BenchRow[] = [];
    for (const [frameBytes, label] of [
      [1518, '1500 B'],
      [64, '64 B frames'],
    ] as const) {
      const samples = await measure(image, frameBytes);
      const of = (field: keyof Sample, unit = 1): number[] => samples.map((sample) => sample[field] / unit);
      if (frameBytes === 64) rows.push(rowOf(`${label}, Mpps`, of('packetsPerS', 1e6), { atLeast: 5 }));
      else rows.push(rowOf(`${label}, Gb/s`, of('bitsPerS', 1e9), { atLeast: 10 }));
      rows.push(
        rowOf(`${label}, NIC thread (generator included), ns per offered frame`, of('nicNsPerFrame')),
      );
      rows.push(rowOf(`${label}, vCPU thread, ns per received packet`, of('vcpuNsPerPacket')));
    }
    return rows;
  },
};
