/** Loops that copy are run in whole rounds: nothing of it may show, wherever a slice, a page or a fault cuts them. */
import { describe, expect, it } from 'vitest';
import * as AT from '../../../src/rv64/cpu/wasm/offsets.js';
import { encode, I, loadImmediate } from './assembler.js';
import { CopyModel, copyingBytes, KERNEL, M, type Modelled, shifted, shiftedByKernel } from './copy-model.js';
import { RandomNumbers } from './random-numbers.js';
import { CSR, RWX, SupervisorHart } from './supervisor-hart.js';
import { BASE } from './test-hart.js';

const CODE = 0x2000;
const DATA = 0x40000;
const PAGES = 4;
const VIRTUAL = 0x10_0000_0000n;
const PAGE = BigInt(AT.PAGE);

/** Four pages in a row, in RAM in another order, with nothing on either side. */
const MAPPED = new Map(
  [2, 0, 3, 1].map((place, page) => [VIRTUAL / PAGE + BigInt(page), DATA + place * AT.PAGE]),
);

function mapped(): SupervisorHart {
  const hart = new SupervisorHart();
  hart.enablePaging();
  for (const [page, at] of MAPPED) hart.map(page * PAGE, BASE + BigInt(at), RWX);
  return hart;
}

function noisy(numbers: RandomNumbers): SupervisorHart {
  const hart = mapped();
  const data = dataOf(hart.ram);
  for (let i = 0; i < data.length; i++) data[i] = numbers.below(256);
  return hart;
}

interface Case {
  readonly program: readonly Modelled[];
  readonly x: readonly bigint[];
  readonly slice: () => number;
  /** Of the first instruction. */
  readonly at: number;
}

/** A loop that never ends is left then. */
const MOST_INSTRUCTIONS = 40_000;
const MOST_SLICES = 100;

const dataOf = (ram: Uint8Array) => ram.subarray(DATA, DATA + PAGES * AT.PAGE);

/** Runs it on the hart in slices, and on the model as many instructions: the same after each. Gives the model. */
function sameAsModel(hart: SupervisorHart, { program, x, slice, at }: Case): CopyModel {
  hart.put([...program.map(({ word }) => word), I.ecall()], at);
  hart.core.flush();
  const places = program.map((_, i) => at + encode(program.slice(0, i).map(({ word }) => word)).length);
  const end = at + encode(program.map(({ word }) => word)).length;
  for (let n = 1; n < 32; n++) hart.core.setX(n, x[n]!);
  const model = new CopyModel(
    program,
    x,
    MAPPED,
    new Uint8Array(hart.ram.subarray(0, DATA + PAGES * AT.PAGE)),
  );
  const before = hart.core.instructions();
  const registers = () => Array.from({ length: 32 }, (_, n) => hart.core.x(n));
  hart.core.pc = BASE + BigInt(at);
  while (!model.isOver && model.retired < MOST_INSTRUCTIONS) {
    const budget = slice();
    hart.core.run(budget);
    for (let i = 0; i < budget && !model.isOver; i++) model.step();
    expect(registers()).toEqual(model.x);
    expect(Buffer.compare(dataOf(hart.ram), dataOf(model.ram))).toBe(0);
    if (model.isOver) break;
    expect(hart.core.pc - BASE).toBe(BigInt(places[model.at]!));
    expect(hart.core.instructions() - before).toBe(model.retired);
  }
  if (model.at >= program.length) {
    // the ECALL behind the loop may have run already
    expect([0n, 4n]).toContain(hart.core.pc - BASE - BigInt(end));
  } else if (model.fault !== null) {
    expect({ cause: hart.read(CSR.scause), value: hart.read(CSR.stval) }).toEqual(model.fault);
    expect(hart.read(CSR.sepc) - BASE).toBe(BigInt(places[model.at]!));
  }
  return model;
}

/** Slices of a few instructions, of some rounds, or all at once; what is left after many, at once too. */
function sliceOf(numbers: RandomNumbers): () => number {
  const most = [3, 30, 1000, 0][numbers.below(4)]!;
  let slices = 0;
  return () => (++slices > MOST_SLICES || most === 0 ? MOST_INSTRUCTIONS : 1 + numbers.below(most));
}

/** Somewhere in the pages, seldom just outside. */
const somewhere = (numbers: RandomNumbers) => VIRTUAL + BigInt(numbers.below(PAGES * AT.PAGE + 40) - 20);

function randomRegisters(numbers: RandomNumbers): bigint[] {
  return Array.from({ length: 32 }, (_, n) => (n === 0 ? 0n : numbers.bits(64)));
}

/** For a copy of some length between two places, which may overlap. */
function copying(numbers: RandomNumbers, q: number, r: number, e: number, counted = r): bigint[] {
  const x = randomRegisters(numbers);
  x[q] = somewhere(numbers);
  x[r] = numbers.chance(0.3) ? x[q] + BigInt(numbers.below(40) - 20) : somewhere(numbers);
  // now and then it ends at once
  const length = numbers.below(numbers.chance(0.5) ? 60 : 6000) - 5;
  x[e] = BigInt.asUintN(64, x[counted]! + BigInt(length));
  x[0] = 0n;
  return x;
}

/** Is the first instruction run by another handler than the same instruction outside of any loop? */
function isRunInRounds(program: readonly Modelled[]): boolean {
  const hart = mapped();
  const first = program[0]!.word;
  const data = VIRTUAL + 64n;
  const words = [...program.map(({ word }) => word), first, I.ecall()];
  for (let n = 1; n < 32; n++) hart.core.setX(n, data);
  hart.put(words, CODE);
  hart.core.flush();
  hart.core.pc = BASE + BigInt(CODE);
  hart.core.run(100);
  const slots = new DataView(hart.memory.buffer, hart.layout.cpuOffset + AT.CODE);
  const handlerAt = (offset: number) => slots.getUint16((offset / 2) * AT.SLOT, true);
  const behind = encode(words.slice(0, program.length)).length;
  return handlerAt(0) !== handlerAt(behind);
}

describe('a loop that copies with shifts', () => {
  const others = { q: 5, r: 9, e: 31, p: 18, a: 1, b: 20, s: 21, t: 22 };
  it.each([
    ['as the kernel has it', shiftedByKernel(), KERNEL],
    ['of long instructions', shifted(KERNEL), KERNEL],
    ['in other registers', shifted(others), others],
    ['with one shift for both', shifted({ ...KERNEL, t: KERNEL.s }), KERNEL],
    ['to no end but its first', shifted({ ...KERNEL, e: 0 }), { ...KERNEL, e: 0 }],
  ])('%s', (_what, program, { q, r, e }) => {
    expect(isRunInRounds(program)).toBe(true);
    const numbers = new RandomNumbers(q + 7 * e);
    const hart = noisy(numbers);
    for (let round = 0; round < 60; round++) {
      const x = copying(numbers, q, r, e);
      sameAsModel(hart, { program, x, slice: sliceOf(numbers), at: CODE + 2 * numbers.below(200) });
    }
  });

  it('at the end of its page, and across it', () => {
    const numbers = new RandomNumbers(5);
    const hart = noisy(numbers);
    for (const before of [34, 32, 30, 18, 2]) {
      const x = copying(numbers, KERNEL.q, KERNEL.r, KERNEL.e);
      sameAsModel(hart, {
        program: shifted(KERNEL),
        x,
        slice: sliceOf(numbers),
        at: CODE + AT.PAGE - before,
      });
    }
  });

  it('whose registers are not each its own does what its instructions say', () => {
    const numbers = new RandomNumbers(6);
    const hart = noisy(numbers);
    const few = [0, 5, 6, 7, 8, 9, 10, 11, 12];
    const any = () => few[numbers.below(few.length)]!;
    for (let round = 0; round < 300; round++) {
      const registers = { q: any(), r: any(), e: any(), p: any(), a: any(), b: any(), s: any(), t: any() };
      const x = copying(numbers, registers.q, registers.r, registers.e);
      sameAsModel(hart, { program: shifted(registers), x, slice: sliceOf(numbers), at: CODE });
    }
  });

  it.each(shifted(KERNEL).map((_, i) => i))(
    'with another instruction in place %i does what it says',
    (place) => {
      const numbers = new RandomNumbers(70 + place);
      const { q, r, e, p, a, b, s } = KERNEL;
      const other = [
        M.srl(a, q, s),
        M.load(8, p, 0, q),
        M.addi(q, q, 16),
        M.srl(b, p, s),
        M.addi(b, a, 1),
        M.store(1, b, r),
        M.addi(r, r, 1),
        M.bltu(q, e, 7),
      ][place]!;
      const program = shifted(KERNEL).map((instruction, i) => (i === place ? other : instruction));
      expect(isRunInRounds(program)).toBe(false);
      const hart = noisy(numbers);
      for (let round = 0; round < 10; round++) {
        const x = copying(numbers, q, r, e, place === 7 ? q : r);
        sameAsModel(hart, { program, x, slice: sliceOf(numbers), at: CODE });
      }
    },
  );
});

describe('a loop that copies bytes', () => {
  it.each([
    ['until the source is at its end', copyingBytes(14, 11, 31, 13, 11), 11],
    ['until the target is at its end', copyingBytes(14, 11, 31, 13, 31), 31],
  ])('%s', (_what, program, counted) => {
    expect(isRunInRounds(program)).toBe(true);
    const numbers = new RandomNumbers(counted);
    const hart = noisy(numbers);
    for (let round = 0; round < 60; round++) {
      const x = copying(numbers, 11, 31, 13, counted);
      sameAsModel(hart, { program, x, slice: sliceOf(numbers), at: CODE + 2 * numbers.below(200) });
    }
  });

  it('whose registers are not each its own does what its instructions say', () => {
    const numbers = new RandomNumbers(8);
    const hart = noisy(numbers);
    const few = [0, 5, 6, 7, 8];
    const any = () => few[numbers.below(few.length)]!;
    for (let round = 0; round < 200; round++) {
      const [a, q, r, e, counted] = [any(), any(), any(), any(), any()];
      const x = copying(numbers, q, r, e, counted);
      sameAsModel(hart, { program: copyingBytes(a, q, r, e, counted), x, slice: sliceOf(numbers), at: CODE });
    }
  });
});

describe.each([
  ['shifts', shifted(KERNEL), 8n],
  ['bytes', copyingBytes(KERNEL.a, KERNEL.q, KERNEL.r, KERNEL.e, KERNEL.r), 1n],
] as const)('a loop that copies (%s)', (_what, program, size) => {
  const { q, r, e } = KERNEL;
  const words = program.map(({ word }) => word);

  it('marks in the dirty log the pages that it stored to, once per harvest, and no other', () => {
    const numbers = new RandomNumbers(9);
    const hart = noisy(numbers);
    const { dirtyLogOffset, ramPages } = hart.layout.machine;
    const log = new Uint8Array(hart.memory.buffer, dirtyLogOffset, ramPages);
    const state = new Int32Array(hart.memory.buffer, hart.layout.cpuOffset, AT.PAGE / 4);
    state[AT.DIRTY_LOGGING / 4] = 1;
    for (let round = 0; round < 40; round++) {
      log.fill(0);
      Atomics.add(state, AT.DIRTY_GENERATION / 4, 1);
      const x = copying(numbers, q, r, e);
      const model = sameAsModel(hart, { program, x, slice: sliceOf(numbers), at: CODE });
      const marked = [...log].flatMap((mark, page) => (mark === 0 ? [] : [page]));
      expect(marked).toEqual([...model.stored].sort((one, two) => one - two));
    }
  });

  it('marks again what is harvested in the middle of it', () => {
    const hart = noisy(new RandomNumbers(10));
    const { dirtyLogOffset, ramPages } = hart.layout.machine;
    const log = new Uint8Array(hart.memory.buffer, dirtyLogOffset, ramPages);
    const state = new Int32Array(hart.memory.buffer, hart.layout.cpuOffset, AT.PAGE / 4);
    state[AT.DIRTY_LOGGING / 4] = 1;
    hart.put([...words, I.ecall()], CODE);
    hart.core.flush();
    hart.core.setX(q, VIRTUAL);
    hart.core.setX(r, VIRTUAL + PAGE);
    hart.core.setX(e, VIRTUAL + 2n * PAGE);
    hart.core.pc = BASE + BigInt(CODE);
    for (let harvest = 0; harvest < 5; harvest++) {
      log.fill(0);
      Atomics.add(state, AT.DIRTY_GENERATION / 4, 1);
      hart.core.run(100);
      expect(log[MAPPED.get(VIRTUAL / PAGE + 1n)! / AT.PAGE]).toBe(1);
      expect(log.reduce((sum, mark) => sum + mark, 0)).toBe(1);
    }
  });

  it.each(words.map((_, i) => i))('that rewrites its own instruction %i does what is there then', (place) => {
    // the loop runs, its instruction is replaced by one that does nothing, and it runs again from its head
    const hart = noisy(new RandomNumbers(11));
    const nop = I.addi(0, 0, 0);
    const at = BASE + BigInt(CODE + 4 * place);
    const program = [
      ...loadImmediate(20, at),
      ...loadImmediate(21, BigInt(nop)),
      I.sw(21, 0, 20),
      I.fencei(),
    ];
    hart.put([...words, I.ecall()], CODE);
    hart.put([...program, I.ecall()], CODE + 0x400);
    hart.core.flush();
    const registers = [q, r, KERNEL.a, KERNEL.b, KERNEL.p] as const;
    const begin = () => {
      for (const n of registers) hart.core.setX(n, VIRTUAL + BigInt(n) * 64n);
      hart.core.setX(e, VIRTUAL + BigInt(r) * 64n + 5n * size);
    };
    begin();
    hart.runFrom(CODE, 1000);
    hart.runFrom(CODE + 0x400);
    begin();
    const fresh = noisy(new RandomNumbers(11));
    fresh.ram.set(hart.ram);
    fresh.core.flush();
    for (let n = 1; n < 32; n++) fresh.core.setX(n, hart.core.x(n));
    for (const one of [hart, fresh]) {
      one.core.pc = BASE + BigInt(CODE);
      // some of them never end now
      one.core.run(1000);
    }
    expect(hart.core.pc).toBe(fresh.core.pc);
    for (let n = 1; n < 32; n++) expect(hart.core.x(n)).toBe(fresh.core.x(n));
    expect(Buffer.compare(dataOf(hart.ram), dataOf(fresh.ram))).toBe(0);
  });

  it('onto its own page of code: what it wrote is what runs', () => {
    const hart = noisy(new RandomNumbers(12));
    const target = CODE + 0x800;
    const written = [I.addi(9, 9, 1), I.addi(9, 9, 2), I.jalr(0, 1, 0), I.addi(0, 0, 0)];
    const source = MAPPED.get(VIRTUAL / PAGE)!;
    hart.ram.set(encode(written), source + 1);
    hart.put([...words, I.jal(1, target - CODE - 4 * words.length), I.ecall()], CODE);
    // what is there before, and has run
    hart.put([I.jalr(0, 1, 0)], target);
    hart.core.flush();
    hart.core.setX(1, BASE + BigInt(CODE + 4 * words.length + 4));
    hart.runFrom(target);
    hart.core.setX(9, 0n);
    // a source one byte behind a word
    hart.core.setX(KERNEL.p, hart.view.getBigUint64(source, true));
    hart.core.setX(KERNEL.s, 8n);
    hart.core.setX(KERNEL.t, 56n);
    hart.core.setX(q, size === 8n ? VIRTUAL : VIRTUAL + 1n);
    hart.core.setX(r, BASE + BigInt(target));
    hart.core.setX(e, BASE + BigInt(target + 16));
    hart.runFrom(CODE);
    expect(hart.core.x(9)).toBe(3n);
  });
});
