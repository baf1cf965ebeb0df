/**
 * What the rewriter costs a guest: the plain build against the untouched module, the logging build against the plain
 * one, on loops over packets and on loops made to be hard. All three run in turn in this thread; each sample is the
 * ratio of three runs that follow each other.
 */
import { rewriteCore } from '../../src/guest/rewrite/rewrite-core.js';
import { compileAtFullSpeed } from '../../src/machine/full-speed.js';
import { MIN_RAM_BYTES } from '../../src/machine/layout.js';
import { type Benchmark, type BenchRow, rowOf } from '../../src/measure/benchmark.js';
import { instantiateOriginal, instantiateRewritten, machineOf } from '../guest/direct-run.js';
import { compilePacketLoops, PACKET_LOOP } from '../guest/packet-loops.js';

const SAMPLES = 41;
/** Runs of one build in one sample; the fastest counts, so that a slice lost to the scheduler does not. */
const TRIES = 3;

interface Loop {
  readonly name: string;
  readonly kind: number;
  readonly bytes: number;
  /** Of about a millisecond. */
  readonly count: number;
  /** The project's goal is for packet loops. */
  readonly packets: boolean;
}

const LOOPS: readonly Loop[] = [
  {
    name: 'copy + checksum, 1500 B',
    kind: PACKET_LOOP.copyAndChecksum,
    bytes: 1500,
    count: 3000,
    packets: true,
  },
  {
    name: 'copy + checksum, 64 B',
    kind: PACKET_LOOP.copyAndChecksum,
    bytes: 64,
    count: 60_000,
    packets: true,
  },
  {
    name: 'memory.copy + checksum, 1500 B',
    kind: PACKET_LOOP.bulkCopyAndChecksum,
    bytes: 1500,
    count: 4000,
    packets: true,
  },
  {
    name: 'memory.copy + checksum, 64 B',
    kind: PACKET_LOOP.bulkCopyAndChecksum,
    bytes: 64,
    count: 60_000,
    packets: true,
  },
  { name: 'checksum only, 1500 B', kind: PACKET_LOOP.checksumOnly, bytes: 1500, count: 6000, packets: true },
  { name: 'sequential stores', kind: PACKET_LOOP.sequentialStores, bytes: 0, count: 30, packets: false },
  { name: 'random stores', kind: PACKET_LOOP.randomStores, bytes: 0, count: 300_000, packets: false },
  { name: 'shell sort', kind: PACKET_LOOP.shellSort, bytes: 0, count: 2, packets: false },
  { name: 'fib (calls only)', kind: PACKET_LOOP.fibonacci, bytes: 0, count: 25, packets: false },
];

async function run(): Promise<BenchRow[]> {
  compileAtFullSpeed();
  const wasm = await compilePacketLoops();
  let loop = LOOPS[0];
  const machine = machineOf({
    'pci-read': (_slot, offset) => [loop.kind, loop.bytes, loop.count][offset / 4],
  });
  const original = instantiateOriginal(wasm, machine);
  const rewritten = instantiateRewritten(rewriteCore(wasm, MIN_RAM_BYTES), machine, () => {});
  const builds = [original.run, rewritten.plain.run, rewritten.logging.run];
  const rows: BenchRow[] = [];
  for (loop of LOOPS) {
    const ratios: [number[], number[]] = [[], []];
    for (let i = 0; i < SAMPLES; i++) {
      const [untouchedMs, plainMs, loggingMs] = builds.map(fastestMs);
      ratios[0].push(plainMs / untouchedMs);
      ratios[1].push(loggingMs / plainMs);
    }
    rows.push(
      rowOf(`${loop.name}: plain / untouched`, ratios[0], loop.packets ? { atMost: 1.2 } : undefined),
    );
    rows.push(rowOf(`${loop.name}: logging / plain`, ratios[1], loop.packets ? { atMost: 1.3 } : undefined));
  }
  return rows;
}

function fastestMs(build: () => number): number {
  let fastest = Number.POSITIVE_INFINITY;
  for (let i = 0; i < TRIES; i++) {
    const startMs = performance.now();
    build();
    fastest = Math.min(fastest, performance.now() - startMs);
  }
  return fastest;
}

export const benchmark: Benchmark = {
  name: 'guest-slowdown',
  what: 'guest loops: time in the plain build over the untouched module, in the logging build over the plain one',
  run,
};
