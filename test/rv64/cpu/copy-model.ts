/**
 * The loops that copy, as instructions that each know what they do: BigInt over a few mapped pages, one at a time. What a
 * hart does with them, whole rounds at once, is held against this.
 */
import { PAGE } from '../../../src/rv64/cpu/wasm/offsets.js';
import { I } from './assembler.js';

export interface Fault {
  readonly cause: bigint;
  readonly value: bigint;
}

const LOAD_PAGE = 13n;
const STORE_PAGE = 15n;
const u64 = (value: bigint) => BigInt.asUintN(64, value);

export interface Modelled {
  readonly word: number;
  /** Gives how many instructions on the next one is. */
  readonly run: (model: CopyModel) => number;
}

export class CopyModel {
  readonly x: bigint[];
  /** Virtual page -> offset in RAM. */
  readonly #pages: ReadonlyMap<bigint, number>;
  readonly ram: Uint8Array;
  /** Pages (of RAM) that were stored to. */
  readonly stored = new Set<number>();
  readonly #program: readonly Modelled[];
  at = 0;
  retired = 0;
  fault: Fault | null = null;

  constructor(
    program: readonly Modelled[],
    x: readonly bigint[],
    pages: ReadonlyMap<bigint, number>,
    ram: Uint8Array,
  ) {
    this.#program = program;
    this.x = [...x];
    this.#pages = pages;
    this.ram = ram;
  }

  get isOver(): boolean {
    return this.fault !== null || this.at >= this.#program.length;
  }

  /** One instruction, which may fault. */
  step(): void {
    const on = this.#program[this.at]!.run(this);
    if (this.fault !== null) return;
    this.x[0] = 0n;
    this.at += on;
    this.retired++;
  }

  /** Offsets of the bytes in RAM, or null and a fault that names the first that is nowhere. */
  bytes(address: bigint, count: number, cause: bigint): number[] | null {
    const places: number[] = [];
    for (let i = 0n; i < BigInt(count); i++) {
      const va = u64(address + i);
      const page = this.#pages.get(va / BigInt(PAGE));
      if (page === undefined) {
        this.fault = { cause, value: va };
        return null;
      }
      places.push(page + Number(va % BigInt(PAGE)));
    }
    return places;
  }
}

type Operation = (x: readonly bigint[]) => bigint;

const computes = (word: number, rd: number, value: Operation): Modelled => ({
  word,
  run: (model) => {
    model.x[rd] = u64(value(model.x));
    return 1;
  },
});

export const M = {
  srl: (rd: number, rs1: number, rs2: number) =>
    computes(I.srl(rd, rs1, rs2), rd, (x) => x[rs1]! >> (x[rs2]! % 64n)),
  sll: (rd: number, rs1: number, rs2: number) =>
    computes(I.sll(rd, rs1, rs2), rd, (x) => x[rs1]! << (x[rs2]! % 64n)),
  or: (rd: number, rs1: number, rs2: number) => computes(I.or(rd, rs1, rs2), rd, (x) => x[rs1]! | x[rs2]!),
  addi: (rd: number, rs1: number, imm: number) =>
    computes(I.addi(rd, rs1, imm), rd, (x) => x[rs1]! + BigInt(imm)),
  load: (size: 1 | 8, rd: number, imm: number, rs1: number): Modelled => ({
    word: size === 1 ? I.lb(rd, imm, rs1) : I.ld(rd, imm, rs1),
    run: (model) => {
      const places = model.bytes(u64(model.x[rs1]! + BigInt(imm)), size, LOAD_PAGE);
      if (places === null) return 0;
      const value = places.reduceRight((sum, place) => sum * 256n + BigInt(model.ram[place]!), 0n);
      model.x[rd] = u64(BigInt.asIntN(8 * size, value));
      return 1;
    },
  }),
  store: (size: 1 | 8, rs2: number, rs1: number): Modelled => ({
    word: size === 1 ? I.sb(rs2, 0, rs1) : I.sd(rs2, 0, rs1),
    run: (model) => {
      const places = model.bytes(model.x[rs1]!, size, STORE_PAGE);
      for (const [i, place] of (places ?? []).entries()) {
        model.ram[place] = Number((model.x[rs2]! >> BigInt(8 * i)) & 0xffn);
        model.stored.add(Math.floor(place / PAGE));
      }
      return 1;
    },
  }),
  /** back: instructions. */
  bltu: (rs1: number, rs2: number, back: number, backBytes = 4 * back): Modelled => ({
    word: I.bltu(rs1, rs2, -backBytes),
    run: ({ x }) => (x[rs1]! < x[rs2]! ? -back : 1),
  }),
} as const;

/** Registers: source, target, end of what is written, last word, half words, shifts. */
export interface ShiftedRegisters {
  readonly q: number;
  readonly r: number;
  readonly e: number;
  readonly p: number;
  readonly a: number;
  readonly b: number;
  readonly s: number;
  readonly t: number;
}

export const shifted = ({ q, r, e, p, a, b, s, t }: ShiftedRegisters): Modelled[] => [
  M.srl(a, p, s),
  M.load(8, p, 8, q),
  M.addi(q, q, 8),
  M.sll(b, p, t),
  M.or(b, b, a),
  M.store(8, b, r),
  M.addi(r, r, 8),
  M.bltu(r, e, 7),
];

/** The kernel's own registers, and its bytes: half of its instructions are compressed. */
export const KERNEL = { q: 11, r: 10, e: 6, p: 15, a: 14, b: 12, s: 28, t: 29 } as const;
const KERNEL_WORDS = [0x01c7d733, 0x659c, 0x05a1, 0x01d79633, 0x8e59, 0xe110, 0x0521, 0xfe6567e3];
export const shiftedByKernel = (): Modelled[] =>
  shifted(KERNEL).map((instruction, i) => ({ ...instruction, word: KERNEL_WORDS[i]! }));

/** counted: q or r. */
export const copyingBytes = (a: number, q: number, r: number, e: number, counted: number): Modelled[] => [
  M.load(1, a, 0, q),
  M.addi(q, q, 1),
  M.store(1, a, r),
  M.addi(r, r, 1),
  M.bltu(counted, e, 4),
];
