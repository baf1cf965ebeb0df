/** Zicboz: cbo.zero makes zeros of the 64 bytes around an address, and of nothing else. */
import { beforeEach, describe, expect, it } from 'vitest';
import * as AT from '../../../src/rv64/cpu/wasm/offsets.js';
import { I, typeI } from './assembler.js';
import { RandomNumbers } from './random-numbers.js';
import { CSR, PTE, RWX, SupervisorHart } from './supervisor-hart.js';
import { BASE } from './test-hart.js';

const DATA = 0x40000;
const VIRTUAL = 0x10_0000_0000n;
const BLOCK = 64;
const CBZE = 0x80n;
const FIOM = 1n;
const STORE_PAGE_FAULT = 15n;
const STORE_ACCESS_FAULT = 7n;

let hart: SupervisorHart;
beforeEach(() => {
  hart = new SupervisorHart();
});

/** What memory is afterwards, by the definition: the naturally aligned block that the address lies in. */
function zeroed(before: Uint8Array, offset: number): Uint8Array {
  const after = new Uint8Array(before);
  const first = Number((BigInt(offset) / BigInt(BLOCK)) * BigInt(BLOCK));
  after.fill(0, first, first + BLOCK);
  return after;
}

describe('cbo.zero', () => {
  it('any address of any block, the first time and when the page is known', () => {
    const numbers = new RandomNumbers(64);
    const region = hart.ram.subarray(DATA, DATA + 2 * AT.PAGE);
    const noise = Uint8Array.from(region, () => 1 + numbers.below(255));
    for (let round = 0; round < 100; round++) {
      region.set(noise);
      const [first, second] = [numbers.below(2 * AT.PAGE), numbers.below(2 * AT.PAGE)];
      hart.core.setX(5, BASE + BigInt(DATA + first));
      hart.core.setX(6, BASE + BigInt(DATA + second));
      hart.execute([I.cboZero(5), I.cboZero(6), I.cboZero(5)]);
      const wanted = zeroed(zeroed(noise, first), second);
      expect(Buffer.compare(region, wanted), `${first} ${second}`).toBe(0);
      expect(hart.core.x(5)).toBe(BASE + BigInt(DATA + first));
    }
  });

  it('the last block of RAM; behind it, and at a device, an access fault that names the address', () => {
    const end = hart.ram.length;
    hart.ram.fill(0xee, end - 2 * BLOCK);
    hart.core.setX(5, BASE + BigInt(end - 1));
    hart.execute([I.cboZero(5)]);
    expect(hart.ram.slice(end - 2 * BLOCK)).toEqual(
      zeroed(new Uint8Array(2 * BLOCK).fill(0xee), 2 * BLOCK - 1),
    );
    for (const address of [BASE + BigInt(end) + 5n, 0x1000_0007n]) {
      hart.core.setX(5, address);
      expect(hart.trapOf([I.cboZero(5)])).toMatchObject({ cause: STORE_ACCESS_FAULT, value: address });
    }
  });

  it('is a store to the page tables: fault and permission, stval the address as it was given', () => {
    hart.enablePaging();
    hart.core.setX(5, VIRTUAL + 77n);
    for (const flags of [0, RWX & ~PTE.W & ~PTE.X, RWX & ~PTE.D, RWX | PTE.U]) {
      hart.map(VIRTUAL, BASE + BigInt(DATA), flags);
      hart.ram.fill(0xee, DATA, DATA + 256);
      expect(hart.trapOf([I.cboZero(5)])).toMatchObject({
        cause: STORE_PAGE_FAULT,
        value: VIRTUAL + 77n,
        pc: BASE + 0x2000n,
      });
      expect(hart.ram.slice(DATA, DATA + 256)).toEqual(new Uint8Array(256).fill(0xee));
    }
    hart.map(VIRTUAL, BASE + BigInt(DATA), RWX);
    expect(hart.trapOf([I.cboZero(5)])).toBeNull();
    expect(hart.ram.slice(DATA, DATA + 256)).toEqual(zeroed(new Uint8Array(256).fill(0xee), 77));
  });

  it('U mode may use it where senvcfg.CBZE says so', () => {
    hart.enablePaging();
    hart.map(VIRTUAL, BASE + BigInt(DATA), RWX | PTE.U);
    hart.map(VIRTUAL + 0x1000n, BASE + 0x2000n, RWX | PTE.U);
    const run = () => {
      hart.ram.fill(0xee, DATA, DATA + 256);
      hart.core.setX(5, VIRTUAL + 130n);
      return hart.trapOf([I.cboZero(5), I.cboZero(5)], { virtual: VIRTUAL + 0x1000n, user: true });
    };
    expect(run()).toMatchObject({ cause: 2n, value: BigInt(I.cboZero(5)), pc: VIRTUAL + 0x1000n });
    expect(hart.ram[DATA + 130]).toBe(0xee);
    hart.write(CSR.senvcfg, CBZE);
    // both ran: what ends it is the ECALL behind them
    expect(run()).toMatchObject({ cause: 8n, pc: VIRTUAL + 0x1008n });
    expect(hart.ram.slice(DATA, DATA + 256)).toEqual(zeroed(new Uint8Array(256).fill(0xee), 130));
  });

  it('senvcfg holds FIOM and CBZE and nothing else', () => {
    hart.write(CSR.senvcfg, -1n);
    expect(hart.read(CSR.senvcfg)).toBe(CBZE | FIOM);
  });

  it.each([
    ['cbo.inval', 0],
    ['cbo.clean', 1],
    ['cbo.flush', 2],
    ['none', 3],
    ['none', 5],
    ['none', -4],
  ])('the others are illegal: %s (%i)', (_what, number) => {
    const word = typeI(0x0f, 2, 0, 5, number);
    hart.core.setX(5, BASE + BigInt(DATA));
    expect(hart.trapOf([word])).toMatchObject({ cause: 2n, value: BigInt(word) });
  });

  it('with a target register it is no instruction', () => {
    const word = typeI(0x0f, 2, 7, 5, 4);
    expect(hart.trapOf([word])).toMatchObject({ cause: 2n, value: BigInt(word) });
  });

  it('marks its page in the dirty log, once per harvest as any store', () => {
    const log = new Uint8Array(
      hart.memory.buffer,
      hart.layout.machine.dirtyLogOffset,
      hart.layout.machine.ramPages,
    );
    const words = new Int32Array(hart.memory.buffer, hart.layout.cpuOffset, AT.PAGE / 4);
    words[AT.DIRTY_LOGGING / 4] = 1;
    hart.core.setX(5, BASE + BigInt(DATA));
    for (let harvest = 0; harvest < 3; harvest++) {
      log.fill(0);
      Atomics.add(words, AT.DIRTY_GENERATION / 4, 1);
      hart.execute([I.cboZero(5), I.cboZero(5)]);
      expect(log[DATA / AT.PAGE]).toBe(1);
      expect(log.reduce((sum, mark) => sum + mark, 0)).toBe(1);
    }
  });

  it('code that it wipes out is code no more', () => {
    // the second round runs zeros, an illegal instruction, in the same page
    const target = 0x2040;
    hart.put([I.addi(9, 9, 1), I.jalr(0, 1, 0)], target);
    hart.core.setX(9, 0n);
    hart.core.setX(5, BASE + BigInt(target + 4));
    const program = [I.jal(1, 0x40), I.cboZero(5), I.jal(1, 0x38)];
    expect(hart.trapOf(program)).toEqual({ cause: 2n, value: 0n, pc: BASE + BigInt(target) });
    expect(hart.core.x(9)).toBe(1n);
  });

  it('an instruction of two pages', () => {
    const last = 0x3000 - 2;
    hart.ram.fill(0xee, DATA, DATA + 128);
    hart.core.setX(5, BASE + BigInt(DATA + 64));
    hart.put([I.cboZero(5), I.ecall()], last);
    hart.core.flush();
    expect(hart.trapFrom(BASE + BigInt(last))).toBeNull();
    expect(hart.ram.slice(DATA, DATA + 128)).toEqual(zeroed(new Uint8Array(128).fill(0xee), 64));
  });
});
