import { describe, expect, it } from 'vitest';
import { RUN } from '../../../src/rv64/cpu/core.js';
import { encode, I, loadImmediate, typeR } from './assembler.js';
import { RandomNumbers } from './random-numbers.js';
import { BASE, TestHart } from './test-hart.js';

const CASES = 120;
const u64 = (value: bigint) => BigInt.asUintN(64, value);
const s64 = (value: bigint) => BigInt.asIntN(64, value);
const s32 = (value: bigint) => BigInt.asIntN(32, value);
const u32 = (value: bigint) => BigInt.asUintN(32, value);
const bit = (value: boolean) => (value ? 1n : 0n);

const hart = new TestHart();
/** Each instruction at a place of its own, an ECALL behind it. */
const places = new Map<number, number>();

function run(word: number, registers: Readonly<Record<number, bigint>>): void {
  let place = places.get(word);
  if (place === undefined) {
    // some at the end of a page, so that they lie across two
    place = 0x10000 + places.size * 16 + (places.size % 2) * 2;
    places.set(word, place);
    hart.put([word, I.ecall()], place);
    hart.core.flush();
  }
  for (const [n, value] of Object.entries(registers)) hart.core.setX(Number(n), u64(value));
  expect(hart.runFrom(place, 2)).toBe(RUN.ecall);
}

type Model = (a: bigint, b: bigint) => bigint;
const divide = (a: bigint, b: bigint) => (b === 0n ? -1n : a / b);
const remainder = (a: bigint, b: bigint) => (b === 0n ? a : a % b);

/** Operands as unsigned 64-bit numbers; the result is cut to 64 bits. */
const REGISTER_MODELS: Readonly<Record<string, Model>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  sll: (a, b) => a << (b & 63n),
  slt: (a, b) => bit(s64(a) < s64(b)),
  sltu: (a, b) => bit(a < b),
  xor: (a, b) => a ^ b,
  srl: (a, b) => a >> (b & 63n),
  sra: (a, b) => s64(a) >> (b & 63n),
  or: (a, b) => a | b,
  and: (a, b) => a & b,
  addw: (a, b) => s32(a + b),
  subw: (a, b) => s32(a - b),
  sllw: (a, b) => s32(a << (b & 31n)),
  srlw: (a, b) => s32(u32(a) >> (b & 31n)),
  sraw: (a, b) => s32(a) >> (b & 31n),
  mul: (a, b) => a * b,
  mulh: (a, b) => (s64(a) * s64(b)) >> 64n,
  mulhsu: (a, b) => (s64(a) * b) >> 64n,
  mulhu: (a, b) => (a * b) >> 64n,
  div: (a, b) => divide(s64(a), s64(b)),
  divu: (a, b) => divide(a, b),
  rem: (a, b) => remainder(s64(a), s64(b)),
  remu: (a, b) => remainder(a, b),
  mulw: (a, b) => s32(a * b),
  divw: (a, b) => s32(divide(s32(a), s32(b))),
  divuw: (a, b) => s32(divide(u32(a), u32(b))),
  remw: (a, b) => s32(remainder(s32(a), s32(b))),
  remuw: (a, b) => s32(remainder(u32(a), u32(b))),
};

const IMMEDIATE_MODELS: Readonly<Record<string, Model>> = {
  addi: (a, b) => a + b,
  slti: (a, b) => bit(s64(a) < b),
  sltiu: (a, b) => bit(a < u64(b)),
  xori: (a, b) => a ^ u64(b),
  ori: (a, b) => a | u64(b),
  andi: (a, b) => a & u64(b),
  addiw: (a, b) => s32(a + b),
};

const SHIFT_MODELS: Readonly<Record<string, { bits: number; model: Model }>> = {
  slli: { bits: 6, model: (a, b) => a << b },
  srli: { bits: 6, model: (a, b) => a >> b },
  srai: { bits: 6, model: (a, b) => s64(a) >> b },
  slliw: { bits: 5, model: (a, b) => s32(a << b) },
  srliw: { bits: 5, model: (a, b) => s32(u32(a) >> b) },
  sraiw: { bits: 5, model: (a, b) => s32(a) >> b },
};

type ThreeOperands = (rd: number, rs1: number, rs2: number) => number;
const instruction = (name: string) => (I as unknown as Record<string, ThreeOperands>)[name]!;

describe('register-register instructions', () => {
  it.each(Object.entries(REGISTER_MODELS))('%s', (name, model) => {
    const numbers = new RandomNumbers(name.length * 77 + name.charCodeAt(0));
    const word = instruction(name)(3, 1, 2);
    for (let i = 0; i < CASES; i++) {
      const [a, b] = [numbers.long(), numbers.long()];
      run(word, { 1: a, 2: b });
      expect(hart.core.x(3), `${name} ${a.toString(16)} ${b.toString(16)}`).toBe(u64(model(a, b)));
    }
    const corners: readonly (readonly [bigint, bigint])[] = [
      [1n << 63n, -1n],
      [0xffffffff_80000000n, -1n],
      [5n, 0n],
      [-5n, 0n],
      [0n, 0n],
      [-7n, 2n],
      [7n, -2n],
    ];
    for (const [a, b] of corners) {
      run(word, { 1: a, 2: b });
      expect(hart.core.x(3)).toBe(u64(model(u64(a), u64(b))));
    }
    // the same register everywhere, and x0 as the target
    run(instruction(name)(4, 4, 4), { 4: 0x8000_0001_8000_0003n });
    expect(hart.core.x(4)).toBe(u64(model(0x8000_0001_8000_0003n, 0x8000_0001_8000_0003n)));
    run(instruction(name)(0, 1, 2), { 1: 77n, 2: 5n });
    expect(hart.core.x(0)).toBe(0n);
  });
});

describe('register-immediate instructions', () => {
  it.each(Object.entries(IMMEDIATE_MODELS))('%s', (name, model) => {
    const numbers = new RandomNumbers(name.length * 99 + name.charCodeAt(0));
    for (const imm of [0, 1, -1, 2047, -2048, 5, -77, 1024]) {
      for (let i = 0; i < 12; i++) {
        const a = numbers.long();
        run(instruction(name)(3, 1, imm), { 1: a });
        expect(hart.core.x(3), `${name} ${a.toString(16)} ${imm}`).toBe(u64(model(a, BigInt(imm))));
      }
      run(instruction(name)(3, 0, imm), {});
      expect(hart.core.x(3)).toBe(u64(model(0n, BigInt(imm))));
    }
  });

  it.each(Object.entries(SHIFT_MODELS))('%s', (name, { bits, model }) => {
    const numbers = new RandomNumbers(bits + name.charCodeAt(2));
    for (let shift = 0; shift < 1 << bits; shift++) {
      const a = numbers.long();
      run(instruction(name)(3, 1, shift), { 1: a });
      expect(hart.core.x(3), `${name} ${a.toString(16)} ${shift}`).toBe(u64(model(a, BigInt(shift))));
    }
  });

  it('lui and auipc', () => {
    for (const imm of [0, 1, 0x7ffff, 0x80000, 0xfffff]) {
      run(I.lui(3, imm), {});
      const value = s32(BigInt(imm) << 12n);
      expect(hart.core.x(3)).toBe(u64(value));
      const word = I.auipc(3, imm);
      run(word, {});
      expect(hart.core.x(3)).toBe(u64(BASE + BigInt(places.get(word)!) + value));
    }
  });
});

describe('control transfer', () => {
  const BRANCHES: readonly (readonly [string, (a: bigint, b: bigint) => boolean])[] = [
    ['beq', (a, b) => a === b],
    ['bne', (a, b) => a !== b],
    ['blt', (a, b) => s64(a) < s64(b)],
    ['bge', (a, b) => s64(a) >= s64(b)],
    ['bltu', (a, b) => a < b],
    ['bgeu', (a, b) => a >= b],
  ];

  it.each(BRANCHES)('%s', (name, taken) => {
    const branch = instruction(name);
    const numbers = new RandomNumbers(name.charCodeAt(1));
    // near, to the page before, to the page behind
    for (const distance of [16, -16, 4094, -4096]) {
      const from = 0x40000 + 0x800;
      hart.put([branch(1, 2, distance), I.ecall()], from);
      hart.put([I.addi(9, 9, 1), I.ecall()], from + distance);
      hart.core.flush();
      for (let i = 0; i < 40; i++) {
        const a = numbers.long();
        const b = numbers.chance(0.3) ? a : numbers.long();
        hart.core.setX(1, a);
        hart.core.setX(2, b);
        hart.core.setX(9, 0n);
        expect(hart.runFrom(from, 5)).toBe(RUN.ecall);
        expect(hart.core.x(9)).toBe(bit(taken(a, b)));
      }
      for (const [rs1, rs2] of [
        [1, 0],
        [0, 1],
        [1, 1],
      ] as const) {
        hart.put([branch(rs1, rs2, distance)], from);
        hart.core.flush();
        for (const a of [0n, 1n, u64(-1n)]) {
          hart.core.setX(1, a);
          hart.core.setX(9, 0n);
          expect(hart.runFrom(from, 5)).toBe(RUN.ecall);
          expect(hart.core.x(9)).toBe(bit(taken(rs1 === 0 ? 0n : a, rs2 === 0 ? 0n : a)));
        }
      }
    }
  });

  it('jal and jalr link and jump, near and far', () => {
    for (const distance of [8, -8, 0x1000, -0x1000, 0x7fffe, -0x30000]) {
      const from = 0x80000;
      hart.put([I.jal(1, distance)], from);
      hart.put([I.ecall()], from + distance);
      hart.core.flush();
      expect(hart.runFrom(from, 3)).toBe(RUN.ecall);
      expect(hart.core.pc).toBe(BASE + BigInt(from + distance + 4));
      expect(hart.core.x(1)).toBe(BASE + BigInt(from + 4));
    }
    hart.put([I.jalr(5, 5, -3), I.ecall()], 0x80000);
    hart.put([I.ecall()], 0x90000);
    hart.core.flush();
    // bit 0 of the sum is dropped; the target is read before the link is written
    hart.core.setX(5, BASE + 0x90004n);
    expect(hart.runFrom(0x80000, 3)).toBe(RUN.ecall);
    expect(hart.core.pc).toBe(BASE + 0x90004n);
    expect(hart.core.x(5)).toBe(BASE + 0x80004n);
  });

  it('runs exactly the instructions that it is given', () => {
    hart.put([I.addi(5, 5, 1), I.jal(0, -4)], 0x2000);
    hart.core.flush();
    hart.core.setX(5, 0n);
    const before = hart.core.instructions();
    expect(hart.runFrom(0x2000, 20_001)).toBe(RUN.budget);
    expect(hart.core.x(5)).toBe(10_001n);
    expect(hart.core.instructions() - before).toBe(20_001);
    expect(hart.core.pc).toBe(BASE + 0x2004n);
  });

  it('goes from page to page, also within an instruction', () => {
    const words = Array.from({ length: 3000 }, () => I.addi(5, 5, 1));
    for (const start of [0x3000, 0x3002]) {
      hart.put([...words, I.ecall()], start);
      hart.core.flush();
      hart.core.setX(5, 0n);
      expect(hart.runFrom(start)).toBe(RUN.ecall);
      expect(hart.core.x(5)).toBe(3000n);
    }
  });
});

describe('compressed instructions', () => {
  /** The compressed word, the 32-bit one that it stands for. */
  const PAIRS: readonly (readonly [what: string, short: number, long: number])[] = [
    ['c.addi4spn x8, 4', 0x0040, I.addi(8, 2, 4)],
    ['c.addi4spn x15, 1020', 0x1ffc, I.addi(15, 2, 1020)],
    ['c.addi x5, -1', 0x12fd, I.addi(5, 5, -1)],
    ['c.addi x5, 31', 0x02fd, I.addi(5, 5, 31)],
    ['c.addiw x5, -32', 0x3281, I.addiw(5, 5, -32)],
    ['c.li x5, -7', 0x52e5, I.addi(5, 0, -7)],
    ['c.addi16sp -512', 0x7101, I.addi(2, 2, -512)],
    ['c.addi16sp 496', 0x617d, I.addi(2, 2, 496)],
    ['c.lui x5, 0xfffe1', 0x7285, I.lui(5, 0xfffe1)],
    ['c.srli x9, 33', 0x9085, I.srli(9, 9, 33)],
    ['c.srai x9, 33', 0x9485, I.srai(9, 9, 33)],
    ['c.andi x9, -8', 0x98e1, I.andi(9, 9, -8)],
    ['c.sub x9, x10', 0x8c89, I.sub(9, 9, 10)],
    ['c.xor x9, x10', 0x8ca9, I.xor(9, 9, 10)],
    ['c.or x9, x10', 0x8cc9, I.or(9, 9, 10)],
    ['c.and x9, x10', 0x8ce9, I.and(9, 9, 10)],
    ['c.subw x9, x10', 0x9c89, I.subw(9, 9, 10)],
    ['c.addw x9, x10', 0x9ca9, I.addw(9, 9, 10)],
    ['c.slli x5, 63', 0x12fe, I.slli(5, 5, 63)],
    ['c.mv x5, x6', 0x829a, I.add(5, 0, 6)],
    ['c.add x5, x6', 0x929a, I.add(5, 5, 6)],
    ['c.nop', 0x0001, I.addi(0, 0, 0)],
  ];

  it.each(PAIRS)('%s', (_what, short, long) => {
    const numbers = new RandomNumbers(short);
    for (let i = 0; i < 20; i++) {
      const registers = Object.fromEntries(Array.from({ length: 31 }, (_, n) => [n + 1, numbers.long()]));
      const stateAfter = (word: number) => {
        run(word, registers);
        return Array.from({ length: 32 }, (_, n) => hart.core.x(n));
      };
      expect(stateAfter(short)).toEqual(stateAfter(long));
    }
  });

  it.each([
    ['c.lw x9, 124(x10)', 0x5d64, I.lw(9, 124, 10)],
    ['c.ld x9, 248(x10)', 0x7d64, I.ld(9, 248, 10)],
    ['c.sw x9, 68(x10)', 0xc164, I.sw(9, 68, 10)],
    ['c.sd x9, 192(x10)', 0xe164, I.sd(9, 192, 10)],
    ['c.lwsp x5, 252(sp)', 0x52fe, I.lw(5, 252, 2)],
    ['c.ldsp x5, 504(sp)', 0x72fe, I.ld(5, 504, 2)],
    ['c.swsp x5, 252(sp)', 0xdf96, I.sw(5, 252, 2)],
    ['c.sdsp x5, 504(sp)', 0xff96, I.sd(5, 504, 2)],
    ['c.fld f9, 248(x10)', 0x3d64, I.fld(9, 248, 10)],
    ['c.fsd f9, 192(x10)', 0xa164, I.fsd(9, 192, 10)],
    ['c.fldsp f5, 504(sp)', 0x32fe, I.fld(5, 504, 2)],
    ['c.fsdsp f5, 504(sp)', 0xbf96, I.fsd(5, 504, 2)],
  ])('%s', (_what, short, long) => {
    hart.execute([...loadImmediate(6, 0x2000n), I.csrrs(0, 0x100, 6)]);
    const data = 0x50000;
    const stateAfter = (word: number) => {
      for (let i = 0; i < 512; i++) hart.ram[data + i] = (i * 7) & 0xff;
      for (let n = 0; n < 32; n++) hart.core.setF(n, BigInt(n) * 0x123456789n);
      run(word, {
        2: BASE + BigInt(data),
        5: 0x1122334455667788n,
        9: 0x99aabbccddeeff00n,
        10: BASE + BigInt(data),
      });
      return [
        ...hart.ram.slice(data, data + 512),
        ...Array.from({ length: 32 }, (_, n) => hart.core.x(n)),
        ...Array.from({ length: 32 }, (_, n) => hart.core.f(n)),
      ];
    };
    expect(stateAfter(short)).toEqual(stateAfter(long));
  });

  it('c.j, c.beqz, c.bnez, c.jr, c.jalr', () => {
    const at = 0x60000;
    const lands = (short: number, registers: Readonly<Record<number, bigint>>) => {
      hart.put([short, I.ecall()], at);
      hart.put([I.ecall()], at + 0x40);
      hart.put([I.ecall()], at - 0x40);
      hart.core.flush();
      for (const [n, value] of Object.entries(registers)) hart.core.setX(Number(n), value);
      expect(hart.runFrom(at, 3)).toBe(RUN.ecall);
      return Number(hart.core.pc - BASE) - 4 - at;
    };
    expect(lands(0xa081, {})).toBe(0x40);
    expect(lands(0xb7c1, {})).toBe(-0x40);
    expect(lands(0xc0a1, { 9: 0n })).toBe(0x40);
    expect(lands(0xc0a1, { 9: 1n })).toBe(2);
    expect(lands(0xe0a1, { 9: 1n })).toBe(0x40);
    expect(lands(0xe0a1, { 9: 0n })).toBe(2);
    expect(lands(0x8282, { 5: BASE + BigInt(at + 0x40) })).toBe(0x40);
    expect(lands(0x9282, { 5: BASE + BigInt(at - 0x40) })).toBe(-0x40);
    expect(hart.core.x(1)).toBe(BASE + BigInt(at + 2));
  });
});

it('the test assembler makes instructions of the right length', () => {
  expect(encode([0x0001, I.addi(1, 0, 1)]).length).toBe(6);
  expect(typeR(0x33, 0, 0, 1, 2, 3)).toBe(0x003100b3);
});
