/** The two loops that riscv64 benchmarks run, without what counts them: integer arithmetic, and copying memory. */
import { I } from '../rv64/cpu/assembler.js';

/** Without memory: an LCG with a branch that goes both ways. */
export const ARITHMETIC_ROUND = [
  I.mul(5, 5, 6),
  I.addi(5, 5, 1013),
  I.srli(7, 5, 17),
  I.xor(8, 8, 7),
  I.andi(9, 7, 1),
  I.beq(9, 0, 8),
  I.addi(10, 10, 3),
  I.add(11, 11, 10),
  I.slli(12, 11, 5),
  I.sub(13, 12, 11),
  I.sltu(14, 13, 8),
  I.addiw(15, 14, 1),
];

/** 32 bytes a round, from x5 to x6. */
const COPY_ROUND = [
  I.ld(7, 0, 5),
  I.ld(8, 8, 5),
  I.ld(9, 16, 5),
  I.ld(10, 24, 5),
  I.sd(7, 0, 6),
  I.sd(8, 8, 6),
  I.sd(9, 16, 6),
  I.sd(10, 24, 6),
  I.addi(5, 5, 32),
  I.addi(6, 6, 32),
];

/** From x5 to x6, until x5 is x22. */
export const COPY_LOOP = [...COPY_ROUND, I.bltu(5, 22, -4 * COPY_ROUND.length)];
