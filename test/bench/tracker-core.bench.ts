/**
 * What the extra core costs: SRVM tracks a guest (packet-sink) that verifies 1500 B packets at 812 kpps, the paper's
 * line rate. Each sample is one whole tracking: throughput just before, throughput and the core's CPU time during, the marks
 * held against the ground truth at its end.
 */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadImage } from '../../src/guest/load-image.js';
import type { LoadedImage } from '../../src/guest/loaded-image.js';
import type { VirtualMachine } from '../../src/hypervisor/vm.js';
import { MIN_RAM_BYTES } from '../../src/machine/layout.js';
import { type Benchmark, type BenchRow, rowOf } from '../../src/measure/benchmark.js';
import { createDeviceMigrator } from '../../src/plugin/create.js';
import { type LoadedPlugin, loadPlugin } from '../../src/plugin/loader.js';
import { pause, type SinkMachine, startSink, stopSink } from './sink-machine.js';

// dist/test/bench -> the repository
const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const RATE_FPS = 812_000;
const RUNS = 5;
const RUN_MS = 700;

interface Sample {
  /** The core's CPU time from its first turn to its last, per time: per cent of one core. */
  readonly loopPercent: number;
  /** The same with the thread's own start (modules, compiler), over this short life. */
  readonly lifePercent: number;
  readonly nsPerDescriptor: number;
  /** Only inside turns: without sleeping and waking. */
  readonly turnNsPerDescriptor: number;
  readonly turnsPerS: number;
  readonly longestGapMs: number;
  readonly throughputRatio: number;
  readonly laps: number;
  readonly missedPages: number;
  readonly overMarkedPages: number;
}

class Rig {
  readonly #machine: SinkMachine;
  readonly #vm: VirtualMachine;

  static async open(image: LoadedImage): Promise<Rig> {
    return new Rig(await startSink(image, 1518, RATE_FPS));
  }

  private constructor(machine: SinkMachine) {
    this.#machine = machine;
    this.#vm = machine.vm;
  }

  /** One tracking, from start to its end with the guest paused; then the guest goes on. */
  async sample(plugin: LoadedPlugin, mode: string): Promise<Sample> {
    const vm = this.#vm;
    const device = vm.vfs[0]!;
    await vm.setDirtyLogging(true);
    const before = await this.#packetsPerS();
    const migrator = createDeviceMigrator({ plugin, options: { mode }, device });
    await migrator.start();
    const truth = new Uint8Array(vm.groundTruth[0]!, 0, vm.layout.ramPages);
    const during = await this.#packetsPerS();
    // a round, so that what follows is judged from a clean start
    await vm.pause();
    await migrator.harvest(new Uint8Array(truth.length));
    truth.fill(0);
    vm.resume();
    await pause(50);
    await vm.pause();
    await migrator.quiesce();
    const marks = new Uint8Array(truth.length);
    await migrator.harvest(marks);
    let missedPages = 0;
    let overMarkedPages = 0;
    marks.forEach((marked, page) => {
      if (truth[page] !== 0 && marked === 0) missedPages++;
      if (truth[page] === 0 && marked !== 0) overMarkedPages++;
    });
    await migrator.rollback();
    const report = await migrator.stop();
    vm.resume();
    await vm.setDirtyLogging(false);
    const counter = (name: string): number => report.counters[name] ?? Number.NaN;
    return {
      loopPercent: (100 * counter('coreLoopCpuNs')) / report.coreAliveNs,
      lifePercent: (100 * report.coreCpuNs) / report.coreAliveNs,
      nsPerDescriptor: counter('coreLoopCpuNs') / counter('descriptors'),
      turnNsPerDescriptor: counter('turnWallNs') / counter('descriptors'),
      turnsPerS: (1e9 * counter('turns')) / report.coreAliveNs,
      longestGapMs: counter('longestTurnGapNs') / 1e6,
      throughputRatio: during / before,
      laps: counter('laps'),
      missedPages,
      overMarkedPages,
    };
  }

  close(): Promise<void> {
    return stopSink(this.#machine);
  }

  async #packetsPerS(): Promise<number> {
    const packets = (): number => this.#vm.vfs[0]!.view.statistics.read().goodPacketsReceived;
    const startMs = performance.now();
    const start = packets();
    await pause(RUN_MS);
    return ((packets() - start) * 1000) / (performance.now() - startMs);
  }
}

function rowsOf(mode: string, samples: readonly Sample[]): BenchRow[] {
  const of = (field: keyof Sample): number[] => samples.map((sample) => sample[field]);
  return [
    rowOf(`${mode}: tracker core at 812 kpps, % of one core`, of('loopPercent'), { atMost: 10 }),
    rowOf(`${mode}: the same with its thread's start, over this short life`, of('lifePercent')),
    rowOf(`${mode}: CPU ns per descriptor, sleeps included`, of('nsPerDescriptor'), { atMost: 60 }),
    rowOf(`${mode}: ns per descriptor in turns (wall)`, of('turnNsPerDescriptor')),
    rowOf(`${mode}: turns per second`, of('turnsPerS')),
    rowOf(`${mode}: longest time between two turns, ms`, of('longestGapMs')),
    rowOf(`${mode}: guest throughput tracked / just before`, of('throughputRatio'), { atLeast: 0.9 }),
    rowOf(`${mode}: laps`, of('laps')),
    rowOf(`${mode}: pages missed`, of('missedPages'), { atMost: 0 }),
    rowOf(`${mode}: pages over-marked`, of('overMarkedPages')),
  ];
}

export const benchmark: Benchmark = {
  name: 'tracker-core',
  what: 'the extra core while a guest verifies 1500 B packets at 812 kpps (10 Gb/s)',
  async run() {
    const image = await loadImage(join(ROOT, 'guest-images/packet-sink/build/packet-sink.wasm'), {
      ramBytes: MIN_RAM_BYTES,
      cacheDir: join(tmpdir(), 'srvm-bench-images'),
    });
    const plugin = await loadPlugin(join(ROOT, 'plugins/srvm'));
    const rows: BenchRow[] = [];
    for (const mode of ['shadow-doorbell', 'scan']) {
      const rig = await Rig.open(image);
      try {
        const samples: Sample[] = [];
        for (let i = 0; i < RUNS; i++) samples.push(await rig.sample(plugin, mode));
        rows.push(...rowsOf(mode, samples));
      } finally {
        await rig.close();
      }
    }
    return rows;
  },
};
