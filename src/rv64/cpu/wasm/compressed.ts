/** Compressed instructions, rewritten as the 32-bit instructions that they stand for. */

const OP_LOAD: u32 = 0x03;
const OP_LOAD_FP: u32 = 0x07;
const OP_IMM: u32 = 0x13;
const OP_IMM_32: u32 = 0x1b;
const OP_STORE: u32 = 0x23;
const OP_STORE_FP: u32 = 0x27;
const OP_OP: u32 = 0x33;
const OP_LUI: u32 = 0x37;
const OP_OP_32: u32 = 0x3b;
const OP_BRANCH: u32 = 0x63;
const OP_JALR: u32 = 0x67;
const OP_JAL: u32 = 0x6f;
const EBREAK: u32 = 0x00100073;
const SP: u32 = 2;

@inline function bits(c: u32, high: u32, low: u32): u32 {
  return (c >>> low) & ((1 << (high - low + 1)) - 1);
}

function encodeI(op: u32, f3: u32, rd: u32, rs1: u32, imm: i32): u32 {
  return op | (rd << 7) | (f3 << 12) | (rs1 << 15) | (<u32>imm << 20);
}

function encodeS(op: u32, f3: u32, rs1: u32, rs2: u32, imm: u32): u32 {
  return op | ((imm & 31) << 7) | (f3 << 12) | (rs1 << 15) | (rs2 << 20) | ((imm >>> 5) << 25);
}

function encodeR(op: u32, f3: u32, f7: u32, rd: u32, rs1: u32, rs2: u32): u32 {
  return op | (rd << 7) | (f3 << 12) | (rs1 << 15) | (rs2 << 20) | (f7 << 25);
}

/** The 32-bit form, or 0 when there is none. */
export function expand(c: u32): u32 {
  switch (c & 3) {
    case 0:
      return expandQuadrant0(c);
    case 1:
      return expandQuadrant1(c);
    default:
      return expandQuadrant2(c);
  }
}

function expandQuadrant0(c: u32): u32 {
  const rdShort = bits(c, 4, 2) + 8;
  const rs1Short = bits(c, 9, 7) + 8;
  const wide = (bits(c, 12, 10) << 3) | (bits(c, 6, 5) << 6);
  const narrow = (bits(c, 12, 10) << 3) | (bits(c, 6, 6) << 2) | (bits(c, 5, 5) << 6);
  switch (c >>> 13) {
    case 0: {
      const imm = (bits(c, 12, 11) << 4) | (bits(c, 10, 7) << 6) | (bits(c, 6, 6) << 2) | (bits(c, 5, 5) << 3);
      return imm === 0 ? 0 : encodeI(OP_IMM, 0, rdShort, SP, imm);
    }
    case 1:
      return encodeI(OP_LOAD_FP, 3, rdShort, rs1Short, wide);
    case 2:
      return encodeI(OP_LOAD, 2, rdShort, rs1Short, narrow);
    case 3:
      return encodeI(OP_LOAD, 3, rdShort, rs1Short, wide);
    case 5:
      return encodeS(OP_STORE_FP, 3, rs1Short, rdShort, wide);
    case 6:
      return encodeS(OP_STORE, 2, rs1Short, rdShort, narrow);
    case 7:
      return encodeS(OP_STORE, 3, rs1Short, rdShort, wide);
    default:
      return 0;
  }
}

function expandQuadrant1(c: u32): u32 {
  const rd = bits(c, 11, 7);
  const imm = (<i32>((bits(c, 12, 12) << 5) | bits(c, 6, 2)) << 26) >> 26;
  switch (c >>> 13) {
    case 0:
      return encodeI(OP_IMM, 0, rd, rd, imm);
    case 1:
      return rd === 0 ? 0 : encodeI(OP_IMM_32, 0, rd, rd, imm);
    case 2:
      return encodeI(OP_IMM, 0, rd, 0, imm);
    case 3:
      if (rd === SP) return expandAddi16sp(c);
      return imm === 0 ? 0 : OP_LUI | (rd << 7) | (<u32>imm << 12);
    case 4:
      return expandAlu(c, imm);
    case 5:
      return expandJump(c);
    default:
      return expandBranch(c);
  }
}

function expandAddi16sp(c: u32): u32 {
  const raw =
    (bits(c, 12, 12) << 9) |
    (bits(c, 6, 6) << 4) |
    (bits(c, 5, 5) << 6) |
    (bits(c, 4, 3) << 7) |
    (bits(c, 2, 2) << 5);
  return raw === 0 ? 0 : encodeI(OP_IMM, 0, SP, SP, (<i32>raw << 22) >> 22);
}

function expandAlu(c: u32, imm: i32): u32 {
  const rd = bits(c, 9, 7) + 8;
  const rs2 = bits(c, 4, 2) + 8;
  switch (bits(c, 11, 10)) {
    case 0:
      return encodeI(OP_IMM, 5, rd, rd, imm & 63);
    case 1:
      return encodeI(OP_IMM, 5, rd, rd, (imm & 63) | 0x400);
    case 2:
      return encodeI(OP_IMM, 7, rd, rd, imm);
  }
  const which = bits(c, 6, 5);
  if (bits(c, 12, 12) !== 0) return which > 1 ? 0 : encodeR(OP_OP_32, 0, which === 0 ? 0x20 : 0, rd, rd, rs2);
  if (which === 0) return encodeR(OP_OP, 0, 0x20, rd, rd, rs2);
  return encodeR(OP_OP, which === 1 ? 4 : which === 2 ? 6 : 7, 0, rd, rd, rs2);
}

function expandJump(c: u32): u32 {
  const raw =
    (bits(c, 12, 12) << 11) |
    (bits(c, 11, 11) << 4) |
    (bits(c, 10, 9) << 8) |
    (bits(c, 8, 8) << 10) |
    (bits(c, 7, 7) << 6) |
    (bits(c, 6, 6) << 7) |
    (bits(c, 5, 3) << 1) |
    (bits(c, 2, 2) << 5);
  const imm = <u32>((<i32>raw << 20) >> 20);
  return (
    OP_JAL |
    (bits(imm, 19, 12) << 12) |
    (bits(imm, 11, 11) << 20) |
    (bits(imm, 10, 1) << 21) |
    (bits(imm, 20, 20) << 31)
  );
}

function expandBranch(c: u32): u32 {
  const raw =
    (bits(c, 12, 12) << 8) |
    (bits(c, 11, 10) << 3) |
    (bits(c, 6, 5) << 6) |
    (bits(c, 4, 3) << 1) |
    (bits(c, 2, 2) << 5);
  const imm = <u32>((<i32>raw << 23) >> 23);
  const f3: u32 = c >>> 13 === 6 ? 0 : 1;
  return (
    OP_BRANCH |
    (bits(imm, 11, 11) << 7) |
    (bits(imm, 4, 1) << 8) |
    (f3 << 12) |
    ((bits(c, 9, 7) + 8) << 15) |
    (bits(imm, 10, 5) << 25) |
    (bits(imm, 12, 12) << 31)
  );
}

function expandQuadrant2(c: u32): u32 {
  const rd = bits(c, 11, 7);
  const rs2 = bits(c, 6, 2);
  const wideLoad = (bits(c, 12, 12) << 5) | (bits(c, 6, 5) << 3) | (bits(c, 4, 2) << 6);
  const wideStore = (bits(c, 12, 10) << 3) | (bits(c, 9, 7) << 6);
  switch (c >>> 13) {
    case 0:
      return encodeI(OP_IMM, 1, rd, rd, (bits(c, 12, 12) << 5) | rs2);
    case 1:
      return encodeI(OP_LOAD_FP, 3, rd, SP, wideLoad);
    case 2: {
      const imm = (bits(c, 12, 12) << 5) | (bits(c, 6, 4) << 2) | (bits(c, 3, 2) << 6);
      return rd === 0 ? 0 : encodeI(OP_LOAD, 2, rd, SP, imm);
    }
    case 3:
      return rd === 0 ? 0 : encodeI(OP_LOAD, 3, rd, SP, wideLoad);
    case 4:
      return expandMoveOrJump(c, rd, rs2);
    case 5:
      return encodeS(OP_STORE_FP, 3, SP, rs2, wideStore);
    case 6:
      return encodeS(OP_STORE, 2, SP, rs2, (bits(c, 12, 9) << 2) | (bits(c, 8, 7) << 6));
    default:
      return encodeS(OP_STORE, 3, SP, rs2, wideStore);
  }
}

function expandMoveOrJump(c: u32, rd: u32, rs2: u32): u32 {
  const link = bits(c, 12, 12) !== 0;
  // as addi, so that the decoder knows a move when it sees one
  if (rs2 !== 0) return link ? encodeR(OP_OP, 0, 0, rd, rd, rs2) : encodeI(OP_IMM, 0, rd, rs2, 0);
  if (rd === 0) return link ? EBREAK : 0;
  return encodeI(OP_JALR, 0, link ? 1 : 0, rd, 0);
}
