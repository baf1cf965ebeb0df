/**
 * Random programs, run at once and in slices of a few instructions: where a slice ends must not show. At once, sequences
 * of instructions share a handler; in short slices they never get to.
 */
import { describe, expect, it } from 'vitest';
import { saveCpu } from '../../../src/rv64/cpu/state.js';
import { amoInstruction, I } from './assembler.js';
import { RandomNumbers } from './random-numbers.js';
import { CSR, SupervisorHart } from './supervisor-hart.js';
import { BASE } from './test-hart.js';

const HANDLER = 0x8000;
const DATA = 0x40000;
const LENGTH = 300;
const INSTRUCTIONS = 4000;
/** x20 and x21 point to data, x22 to nowhere, x23 is for the handler; programs change x5 to x15. */
const POINTERS = [20, 20, 20, 21, 21, 22];

function randomInstruction(numbers: RandomNumbers, place: number): number {
  const register = () => 5 + numbers.below(11);
  const pointer = POINTERS[numbers.below(numbers.chance(0.1) ? 6 : 5)]!;
  const offset = numbers.below(256) * 8;
  const imm = numbers.below(4096) - 2048;
  switch (numbers.below(24)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return I.ld(register(), offset, pointer);
    case 4:
    case 5:
    case 6:
    case 7:
      return I.sd(register(), offset, pointer);
    case 8:
      return I.lbu(register(), offset + 3, pointer);
    case 9:
      return I.sb(register(), offset + 5, pointer);
    case 10:
      // misaligned now and then
      return I.lw(register(), offset + numbers.below(3), pointer);
    case 11:
      return I.add(register(), register(), register());
    case 12:
      return I.sub(register(), register(), register());
    case 13:
      return I.slli(register(), register(), numbers.below(64));
    case 14:
      return I.srli(register(), register(), numbers.below(64));
    case 15:
      return I.andi(register(), register(), imm);
    case 16:
      return I.auipc(register(), numbers.below(1 << 20));
    case 17:
    case 18: {
      const distance = 4 * (1 + numbers.below(6));
      const branch = numbers.chance(0.5) ? I.beq : numbers.chance(0.5) ? I.bne : I.bltu;
      return place + distance / 4 < LENGTH ? branch(register(), register(), distance) : I.addi(5, 5, 1);
    }
    case 19:
      return amoInstruction('add', true, register(), register(), pointer);
    case 20:
      // two compressed ones: c.addi x8, 1 and c.mv x9, x10
      return 0x84aa_0405;
    case 21:
      return numbers.chance(0.1) ? 0xffff_ffff : I.or(register(), register(), register());
    default:
      return numbers.chance(0.3) ? I.addi(register(), 0, imm) : I.addi(register(), register(), imm);
  }
}

function prepared(seed: number): SupervisorHart {
  const numbers = new RandomNumbers(seed);
  const hart = new SupervisorHart();
  hart.enablePaging();
  // whatever faults is skipped
  hart.put([I.csrrs(23, CSR.sepc, 0), I.addi(23, 23, 4), I.csrrw(0, CSR.sepc, 23), I.sret()], HANDLER);
  const program = Array.from({ length: LENGTH }, (_, place) => randomInstruction(numbers, place));
  const start = 0x2000 + 4 * numbers.below(1024);
  const words = new DataView(hart.memory.buffer, start);
  [...program, I.jal(0, -4 * LENGTH)].forEach((word, i) => {
    words.setUint32(4 * i, word, true);
  });
  for (let i = 0; i < 0x3000; i += 8) hart.view.setBigUint64(DATA + i, numbers.long(), true);
  for (let n = 5; n < 16; n++) hart.core.setX(n, numbers.long());
  hart.core.setX(20, BASE + BigInt(DATA));
  hart.core.setX(21, BASE + BigInt(DATA + 0xc04 + 4));
  hart.core.setX(22, 0x77_0000_0000n);
  hart.core.flush();
  hart.core.pc = BASE + BigInt(start);
  return hart;
}

function outcome(hart: SupervisorHart) {
  return { ...saveCpu(hart.memory, hart.layout), data: hart.ram.slice(DATA, DATA + 0x4000).join() };
}

describe('where a slice ends does not show', () => {
  it.each(Array.from({ length: 40 }, (_, i) => i + 1))('program %i', (seed) => {
    const whole = prepared(seed);
    const sliced = prepared(seed);
    const numbers = new RandomNumbers(seed + 1000);
    whole.core.run(INSTRUCTIONS);
    // budget goes to instructions that fault as well: the same number in both
    for (let left = INSTRUCTIONS; left > 0; ) {
      const slice = Math.min(left, 1 + numbers.below(seed % 2 === 0 ? 3 : 12));
      sliced.core.run(slice);
      left -= slice;
    }
    expect(outcome(sliced)).toEqual(outcome(whole));
    expect(whole.core.instructions()).toBeGreaterThan(INSTRUCTIONS / 2);
  });
});
