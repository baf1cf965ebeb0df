/**
 * The riscv64 interpreter by itself: instructions a second in a loop of integer arithmetic and in one that copies memory,
 * and what the dirty log costs the copying one while it is harvested some fifteen times a second. Seconds are the thread's own CPU
 * time.
 */
import { type Benchmark, type BenchRow, rowOf } from '../../src/measure/benchmark.js';
import * as AT from '../../src/rv64/cpu/wasm/offsets.js';
import { I } from '../rv64/cpu/assembler.js';
import { BASE, TestHart } from '../rv64/cpu/test-hart.js';
import { ARITHMETIC_ROUND, COPY_LOOP } from './rv64-loops.js';

const RUNS = 7;
const INSTRUCTIONS = 40_000_000;
const HARVEST_EVERY = 20_000_000;
/** The copied region: 1 MiB, so that pages change often. */
const REGION = 0x100000;

/** For ever; the multiplication is outside the inner loop. */
const ARITHMETIC = [
  ...ARITHMETIC_ROUND,
  I.addi(16, 16, -1),
  I.bne(16, 0, -4 * ARITHMETIC_ROUND.length),
  I.jal(0, -4 * (ARITHMETIC_ROUND.length + 2)),
];

/** For ever; x20 source, x21 target, x22 end. */
const COPY_SETUP = [I.add(5, 20, 0), I.add(6, 21, 0)];
const COPY = [...COPY_SETUP, ...COPY_LOOP, I.jal(0, -4 * (COPY_SETUP.length + COPY_LOOP.length))];

function start(program: readonly number[]): TestHart {
  const hart = new TestHart();
  hart.put(program);
  hart.core.setX(6, 6364136223846793005n);
  hart.core.setX(20, BASE + BigInt(REGION));
  hart.core.setX(21, BASE + BigInt(2 * REGION));
  hart.core.setX(22, BASE + BigInt(2 * REGION));
  hart.core.pc = BASE;
  hart.core.run(INSTRUCTIONS / 10);
  return hart;
}

/** Millions of instructions a second of CPU time. */
function mips(hart: TestHart, logging: boolean): number {
  const words = new Int32Array(hart.memory.buffer, hart.layout.cpuOffset, AT.PAGE / 4);
  words[AT.DIRTY_LOGGING / 4] = logging ? 1 : 0;
  const before = process.cpuUsage();
  for (let ran = 0; ran < INSTRUCTIONS; ran += HARVEST_EVERY) {
    if (logging) Atomics.add(words, AT.DIRTY_GENERATION / 4, 1);
    hart.core.run(HARVEST_EVERY);
  }
  const used = process.cpuUsage(before);
  return INSTRUCTIONS / (used.user + used.system);
}

async function run(): Promise<BenchRow[]> {
  const arithmetic = start(ARITHMETIC);
  const copying = start(COPY);
  const loops: number[] = [];
  const copies: number[] = [];
  const slowdowns: number[] = [];
  for (let i = 0; i < RUNS; i++) {
    loops.push(mips(arithmetic, false));
    // before and after: what else the machine does comes and goes
    const before = mips(copying, false);
    const logged = mips(copying, true);
    const plain = (before + mips(copying, false)) / 2;
    copies.push(plain);
    slowdowns.push(plain / logged);
  }
  return [
    rowOf('integer loop, MIPS', loops, { atLeast: 150 }),
    rowOf('copying loop, MIPS', copies),
    rowOf('copying loop, slower by the dirty log, x', slowdowns, { atMost: 1.05 }),
  ];
}

export const benchmark: Benchmark = {
  name: 'rv64-core',
  what: 'the riscv64 interpreter, one thread, no devices',
  run,
};
