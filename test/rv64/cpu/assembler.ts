/** A tiny assembler: functions that give 32-bit (or 16-bit) instruction words, and a program with labels. */

const mask = (value: number, bits: number) => value & ((1 << bits) - 1);

export function typeR(opcode: number, f3: number, f7: number, rd: number, rs1: number, rs2: number): number {
  return (opcode | (rd << 7) | (f3 << 12) | (rs1 << 15) | (rs2 << 20) | (f7 << 25)) >>> 0;
}

export function typeI(opcode: number, f3: number, rd: number, rs1: number, imm: number): number {
  return (opcode | (rd << 7) | (f3 << 12) | (rs1 << 15) | (mask(imm, 12) << 20)) >>> 0;
}

export function typeS(opcode: number, f3: number, rs1: number, rs2: number, imm: number): number {
  return (
    (opcode | (mask(imm, 5) << 7) | (f3 << 12) | (rs1 << 15) | (rs2 << 20) | (mask(imm >> 5, 7) << 25)) >>> 0
  );
}

export function typeB(f3: number, rs1: number, rs2: number, imm: number): number {
  return (
    (0x63 |
      (mask(imm >> 11, 1) << 7) |
      (mask(imm >> 1, 4) << 8) |
      (f3 << 12) |
      (rs1 << 15) |
      (rs2 << 20) |
      (mask(imm >> 5, 6) << 25) |
      (mask(imm >> 12, 1) << 31)) >>>
    0
  );
}

export function typeJ(rd: number, imm: number): number {
  return (
    (0x6f |
      (rd << 7) |
      (mask(imm >> 12, 8) << 12) |
      (mask(imm >> 11, 1) << 20) |
      (mask(imm >> 1, 10) << 21) |
      (mask(imm >> 20, 1) << 31)) >>>
    0
  );
}

const opImm = (f3: number) => (rd: number, rs1: number, imm: number) => typeI(0x13, f3, rd, rs1, imm);
const opImm32 = (f3: number) => (rd: number, rs1: number, imm: number) => typeI(0x1b, f3, rd, rs1, imm);
const op =
  (f3: number, f7 = 0) =>
  (rd: number, rs1: number, rs2: number) =>
    typeR(0x33, f3, f7, rd, rs1, rs2);
const op32 =
  (f3: number, f7 = 0) =>
  (rd: number, rs1: number, rs2: number) =>
    typeR(0x3b, f3, f7, rd, rs1, rs2);
const loadOp = (f3: number) => (rd: number, imm: number, rs1: number) => typeI(0x03, f3, rd, rs1, imm);
const storeOp = (f3: number) => (rs2: number, imm: number, rs1: number) => typeS(0x23, f3, rs1, rs2, imm);
const branchOp = (f3: number) => (rs1: number, rs2: number, imm: number) => typeB(f3, rs1, rs2, imm);
const amo = (f5: number, f3: number) => (rd: number, rs2: number, rs1: number) =>
  typeR(0x2f, f3, f5 << 2, rd, rs1, rs2);
const csrOp = (f3: number) => (rd: number, csr: number, rs1: number) =>
  (0x73 | (rd << 7) | (f3 << 12) | (rs1 << 15) | (csr << 20)) >>> 0;

export const I = {
  addi: opImm(0),
  slti: opImm(2),
  sltiu: opImm(3),
  xori: opImm(4),
  ori: opImm(6),
  andi: opImm(7),
  slli: (rd: number, rs1: number, shift: number) => typeI(0x13, 1, rd, rs1, shift),
  srli: (rd: number, rs1: number, shift: number) => typeI(0x13, 5, rd, rs1, shift),
  srai: (rd: number, rs1: number, shift: number) => typeI(0x13, 5, rd, rs1, shift | 0x400),
  addiw: opImm32(0),
  slliw: (rd: number, rs1: number, shift: number) => typeI(0x1b, 1, rd, rs1, shift),
  srliw: (rd: number, rs1: number, shift: number) => typeI(0x1b, 5, rd, rs1, shift),
  sraiw: (rd: number, rs1: number, shift: number) => typeI(0x1b, 5, rd, rs1, shift | 0x400),
  add: op(0),
  sub: op(0, 0x20),
  sll: op(1),
  slt: op(2),
  sltu: op(3),
  xor: op(4),
  srl: op(5),
  sra: op(5, 0x20),
  or: op(6),
  and: op(7),
  addw: op32(0),
  subw: op32(0, 0x20),
  sllw: op32(1),
  srlw: op32(5),
  sraw: op32(5, 0x20),
  mul: op(0, 1),
  mulh: op(1, 1),
  mulhsu: op(2, 1),
  mulhu: op(3, 1),
  div: op(4, 1),
  divu: op(5, 1),
  rem: op(6, 1),
  remu: op(7, 1),
  mulw: op32(0, 1),
  divw: op32(4, 1),
  divuw: op32(5, 1),
  remw: op32(6, 1),
  remuw: op32(7, 1),
  lb: loadOp(0),
  lh: loadOp(1),
  lw: loadOp(2),
  ld: loadOp(3),
  lbu: loadOp(4),
  lhu: loadOp(5),
  lwu: loadOp(6),
  sb: storeOp(0),
  sh: storeOp(1),
  sw: storeOp(2),
  sd: storeOp(3),
  beq: branchOp(0),
  bne: branchOp(1),
  blt: branchOp(4),
  bge: branchOp(5),
  bltu: branchOp(6),
  bgeu: branchOp(7),
  jal: typeJ,
  jalr: (rd: number, rs1: number, imm: number) => typeI(0x67, 0, rd, rs1, imm),
  /** imm: the upper 20 bits as a number from -2^19 to 2^20 - 1. */
  lui: (rd: number, imm: number) => (0x37 | (rd << 7) | (imm << 12)) >>> 0,
  auipc: (rd: number, imm: number) => (0x17 | (rd << 7) | (imm << 12)) >>> 0,
  lrw: (rd: number, rs1: number) => amo(2, 2)(rd, 0, rs1),
  lrd: (rd: number, rs1: number) => amo(2, 3)(rd, 0, rs1),
  scw: amo(3, 2),
  scd: amo(3, 3),
  csrrw: csrOp(1),
  csrrs: csrOp(2),
  csrrc: csrOp(3),
  csrrwi: csrOp(5),
  csrrsi: csrOp(6),
  csrrci: csrOp(7),
  ecall: () => 0x00000073,
  ebreak: () => 0x00100073,
  sret: () => 0x10200073,
  wfi: () => 0x10500073,
  fence: () => 0x0ff0000f,
  fencei: () => 0x0000100f,
  cboZero: (rs1: number) => typeI(0x0f, 2, 0, rs1, 4),
  sfence: (rs1 = 0, rs2 = 0) => typeR(0x73, 0, 9, 0, rs1, rs2),
  flw: (rd: number, imm: number, rs1: number) => typeI(0x07, 2, rd, rs1, imm),
  fld: (rd: number, imm: number, rs1: number) => typeI(0x07, 3, rd, rs1, imm),
  fsw: (rs2: number, imm: number, rs1: number) => typeS(0x27, 2, rs1, rs2, imm),
  fsd: (rs2: number, imm: number, rs1: number) => typeS(0x27, 3, rs1, rs2, imm),
} as const;

/** The AMOs by name, for words (f3 2) and doublewords (f3 3). */
export const AMO: Readonly<Record<string, number>> = {
  add: 0,
  swap: 1,
  xor: 4,
  or: 8,
  and: 12,
  min: 16,
  max: 20,
  minu: 24,
  maxu: 28,
};
export const amoInstruction = (name: string, wide: boolean, rd: number, rs2: number, rs1: number) =>
  amo(AMO[name]!, wide ? 3 : 2)(rd, rs2, rs1);

/** Instructions that load any 64-bit value, without memory. */
export function loadImmediate(rd: number, value: bigint): number[] {
  const signed = BigInt.asIntN(64, value);
  if (signed >= -2048n && signed < 2048n) return [I.addi(rd, 0, Number(signed))];
  const low = BigInt.asIntN(12, signed);
  const rest = (signed - low) >> 12n;
  const tail = low === 0n ? [] : [I.addi(rd, rd, Number(low))];
  return [...loadImmediate(rd, BigInt.asIntN(52, rest)), I.slli(rd, rd, 12), ...tail];
}

/** Bytes of a program; numbers below 0x10000 whose low bits are not 11 are compressed. */
export function encode(words: readonly number[]): Uint8Array {
  const bytes: number[] = [];
  for (const word of words) {
    bytes.push(word & 0xff, (word >>> 8) & 0xff);
    if ((word & 3) === 3) bytes.push((word >>> 16) & 0xff, (word >>> 24) & 0xff);
  }
  return Uint8Array.from(bytes);
}
