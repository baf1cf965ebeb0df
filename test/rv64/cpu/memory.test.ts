import { beforeEach, describe, expect, it } from 'vitest';
import { RUN } from '../../../src/rv64/cpu/core.js';
import * as AT from '../../../src/rv64/cpu/wasm/offsets.js';
import { AMO, amoInstruction, encode, I } from './assembler.js';
import { RandomNumbers } from './random-numbers.js';
import { RWX, SupervisorHart } from './supervisor-hart.js';
import { BASE } from './test-hart.js';

const DATA = 0x40000;
const ADDRESS = BASE + BigInt(DATA);
const u64 = (value: bigint) => BigInt.asUintN(64, value);

let hart: SupervisorHart;
beforeEach(() => {
  hart = new SupervisorHart();
});

describe('loads and stores', () => {
  const LOADS = [
    ['lb', 1, true],
    ['lh', 2, true],
    ['lw', 4, true],
    ['ld', 8, true],
    ['lbu', 1, false],
    ['lhu', 2, false],
    ['lwu', 4, false],
  ] as const;

  it.each(LOADS)('%s at every alignment, with offsets', (name, size, isSigned) => {
    const numbers = new RandomNumbers(size);
    for (let i = 0; i < 64; i++) hart.ram[DATA + i] = numbers.below(256);
    for (let at = 0; at < 24; at++) {
      for (const imm of [0, 2047, -2048, 3]) {
        hart.core.setX(5, ADDRESS + BigInt(at - imm));
        hart.execute([I[name](6, imm, 5)]);
        let wanted = 0n;
        for (let i = size - 1; i >= 0; i--) wanted = (wanted << 8n) | BigInt(hart.ram[DATA + at + i]!);
        if (isSigned) wanted = u64(BigInt.asIntN(size * 8, wanted));
        expect(hart.core.x(6)).toBe(wanted);
      }
    }
  });

  it.each([
    ['sb', 1],
    ['sh', 2],
    ['sw', 4],
    ['sd', 8],
  ] as const)('%s at every alignment writes its bytes and no others', (name, size) => {
    const value = 0x8877665544332211n;
    hart.core.setX(7, value);
    for (let at = 8; at < 24; at++) {
      hart.ram.fill(0xee, DATA, DATA + 64);
      hart.core.setX(5, ADDRESS + BigInt(at));
      hart.execute([I[name](7, 0, 5)]);
      const wanted = new Uint8Array(64).fill(0xee);
      for (let i = 0; i < size; i++) wanted[at + i] = Number((value >> BigInt(8 * i)) & 0xffn);
      expect(hart.ram.slice(DATA, DATA + 64)).toEqual(wanted);
    }
  });

  it('the last bytes of RAM, and none behind', () => {
    const last = BASE + BigInt(hart.ram.length) - 8n;
    hart.core.setX(5, last);
    hart.core.setX(7, 42n);
    hart.execute([I.sd(7, 0, 5), I.ld(6, 0, 5)]);
    expect(hart.core.x(6)).toBe(42n);
    // across the end: half RAM, half nothing
    expect(hart.trapOf([I.ld(6, 4, 5)])?.cause).toBe(5n);
    expect(hart.trapOf([I.sd(6, 4, 5)])?.cause).toBe(7n);
  });

  it('floating-point loads box singles and stores take the low half', () => {
    hart.fs = 1;
    hart.view.setUint32(DATA, 0x40490fdb, true);
    hart.core.setX(5, ADDRESS);
    hart.execute([I.flw(1, 0, 5), I.fsw(1, 12, 5), I.fsd(1, 17, 5), I.fld(2, 17, 5), I.flw(3, 17, 5)]);
    expect(hart.core.f(1)).toBe(0xffffffff_40490fdbn);
    expect(hart.view.getUint32(DATA + 12, true)).toBe(0x40490fdb);
    expect(hart.core.f(2)).toBe(0xffffffff_40490fdbn);
    expect(hart.core.f(3)).toBe(0xffffffff_40490fdbn);
  });

  it('64-bit device accesses are one call with both halves', () => {
    const device = new SupervisorHart({
      mmioRead: () => {
        device.core.mmioHigh = 0x89abcdef | 0;
        return 0x01234567;
      },
    });
    device.core.setX(5, 0x1000n);
    device.execute([I.ld(6, 0, 5), I.lh(7, 0, 5)]);
    expect(device.core.x(6)).toBe(0x89abcdef_01234567n);
    expect(device.core.x(7)).toBe(0x4567n);
    // devices take aligned accesses only
    expect(device.trapOf([I.lw(6, 2, 5)])?.cause).toBe(5n);
    expect(device.trapOf([I.sw(6, 2, 5)])?.cause).toBe(7n);
  });
});

describe('atomics', () => {
  const s = (value: bigint, bits: number) => BigInt.asIntN(bits, value);
  const u = (value: bigint, bits: number) => BigInt.asUintN(bits, value);
  const MODELS: Readonly<Record<string, (a: bigint, b: bigint, bits: number) => bigint>> = {
    add: (a, b) => a + b,
    swap: (_a, b) => b,
    xor: (a, b) => a ^ b,
    or: (a, b) => a | b,
    and: (a, b) => a & b,
    min: (a, b, bits) => (s(a, bits) < s(b, bits) ? a : b),
    max: (a, b, bits) => (s(a, bits) > s(b, bits) ? a : b),
    minu: (a, b, bits) => (u(a, bits) < u(b, bits) ? a : b),
    maxu: (a, b, bits) => (u(a, bits) > u(b, bits) ? a : b),
  };

  it.each(Object.keys(AMO))('amo%s', (name) => {
    const numbers = new RandomNumbers(name.charCodeAt(1));
    for (const wide of [false, true]) {
      const bits = wide ? 64 : 32;
      hart.put([amoInstruction(name, wide, 6, 7, 5), I.ecall()], 0x2000);
      hart.core.flush();
      for (let i = 0; i < 40; i++) {
        const [before, operand] = [numbers.long(), numbers.long()];
        hart.view.setBigUint64(DATA, before, true);
        hart.core.setX(5, ADDRESS);
        hart.core.setX(7, operand);
        expect(hart.runFrom(0x2000)).toBe(RUN.ecall);
        const result = u(MODELS[name]!(u(before, bits), u(operand, bits), bits), bits);
        const kept = wide ? 0n : (before >> 32n) << 32n;
        expect(hart.core.x(6)).toBe(u64(s(before, bits)));
        expect(hart.view.getBigUint64(DATA, true)).toBe(kept | result);
      }
      hart.core.setX(5, ADDRESS + 2n);
      expect(hart.trapOf([amoInstruction(name, wide, 6, 7, 5)])).toMatchObject({
        cause: 6n,
        value: ADDRESS + 2n,
      });
    }
  });

  it('the target may be an operand', () => {
    hart.view.setBigUint64(DATA, 10n, true);
    hart.core.setX(5, ADDRESS);
    hart.core.setX(7, 3n);
    hart.execute([amoInstruction('add', true, 7, 7, 5)]);
    expect([hart.core.x(7), hart.view.getBigUint64(DATA, true)]).toEqual([10n, 13n]);
    hart.execute([amoInstruction('add', true, 5, 7, 5)]);
    expect([hart.core.x(5), hart.view.getBigUint64(DATA, true)]).toEqual([13n, 23n]);
  });

  it('SC succeeds once after its LR, at its address, and not otherwise', () => {
    hart.core.setX(5, ADDRESS);
    hart.core.setX(8, ADDRESS + 64n);
    hart.core.setX(7, 99n);
    hart.view.setBigUint64(DATA, 0xffff_fffbn, true);
    // the same value at another address is no reservation
    hart.view.setBigUint64(DATA + 64, 99n, true);
    hart.execute([
      I.lrw(6, 5),
      I.scw(10, 7, 5),
      I.scw(11, 7, 5),
      I.lrd(9, 5),
      I.scd(12, 7, 8),
      I.scd(13, 7, 5),
      I.lrw(0, 5),
      I.sw(0, 0, 5),
      I.scw(14, 7, 5),
    ]);
    expect(hart.core.x(6)).toBe(u64(-5n));
    expect([10, 11, 12, 13].map((n) => hart.core.x(n))).toEqual([0n, 1n, 1n, 1n]);
    expect(hart.core.x(14)).toBe(1n);
    hart.core.setX(5, ADDRESS + 4n);
    expect(hart.trapOf([I.lrd(6, 5)])).toMatchObject({ cause: 4n, value: ADDRESS + 4n });
    expect(hart.trapOf([I.scd(6, 6, 5)])).toMatchObject({ cause: 6n, value: ADDRESS + 4n });
  });
});

describe('code that changes', () => {
  const word = (instruction: number) => BigInt(instruction);

  it('a store into code that was run already, in the same page and in another', () => {
    for (const at of [0x2000, 0x2ff0, 0x6000]) {
      hart.put([I.addi(6, 0, 1), I.jalr(0, 1, 0)], at);
      hart.core.setX(5, BASE + BigInt(at));
      hart.core.setX(7, word(I.addi(6, 0, 2)));
      hart.core.setX(9, 0n);
      const program = [
        I.jalr(1, 5, 0),
        I.add(9, 9, 6),
        I.sw(7, 0, 5),
        I.fencei(),
        I.jalr(1, 5, 0),
        I.slli(9, 9, 4),
        I.add(9, 9, 6),
      ];
      expect(hart.trapOf(program, { at: 0x2800 })).toBeNull();
      expect(hart.core.x(9)).toBe(0x12n);
    }
  });

  it('half an instruction, and the halves around it', () => {
    hart.put([I.addi(6, 6, 1), I.addi(6, 6, 1), I.ecall()], 0x2000);
    hart.core.flush();
    hart.core.setX(6, 0n);
    hart.runFrom(0x2000);
    expect(hart.core.x(6)).toBe(2n);
    hart.core.setX(5, BASE + 0x2000n);
    // c.addi x6, 3 over the first half of the first, the second half of it becomes c.nop
    const bytes = new DataView(encode([0x030d, 0x0001]).buffer);
    hart.core.setX(7, BigInt(bytes.getUint16(0, true)));
    hart.core.setX(8, BigInt(bytes.getUint16(2, true)));
    hart.execute([I.sh(7, 0, 5), I.sh(8, 2, 5), I.fencei()], 0x4000);
    hart.core.setX(6, 0n);
    hart.runFrom(0x2000);
    expect(hart.core.x(6)).toBe(4n);
  });

  it('any one of instructions that run as a sequence', () => {
    const at = 0x6000;
    for (let place = 0; place < 4; place++) {
      const sequence = [I.addi(6, 6, 1), I.addi(6, 6, 1), I.addi(6, 6, 1), I.addi(6, 6, 1), I.jalr(0, 1, 0)];
      hart.put(sequence, at);
      hart.core.setX(5, BASE + BigInt(at));
      hart.core.setX(6, 0n);
      hart.core.setX(7, word(I.addi(6, 6, 100)));
      const program = [I.jalr(1, 5, 0), I.sw(7, 4 * place, 5), I.fencei(), I.jalr(1, 5, 0)];
      expect(hart.trapOf(program)).toBeNull();
      expect(hart.core.x(6)).toBe(107n);
    }
  });

  it('what a device wrote counts after fence.i', () => {
    hart.put([I.addi(6, 0, 1), I.jalr(0, 1, 0)], 0x6000);
    hart.core.setX(5, BASE + 0x6000n);
    expect(hart.trapOf([I.jalr(1, 5, 0)])).toBeNull();
    hart.put([I.addi(6, 0, 77)], 0x6000);
    hart.put([I.fencei(), I.jalr(1, 5, 0), I.ecall()], 0x7000);
    expect(hart.runFrom(0x7000)).toBe(RUN.ecall);
    expect(hart.core.x(6)).toBe(77n);
  });

  it('a page of code that becomes one of data, and code again', () => {
    hart.put([I.addi(6, 0, 1), I.jalr(0, 1, 0)], 0x6000);
    hart.core.setX(5, BASE + 0x6000n);
    expect(hart.trapOf([I.jalr(1, 5, 0)])).toBeNull();
    // 512 stores over all of it, twice
    const fill = [
      I.addi(8, 0, 512),
      I.add(9, 5, 0),
      I.sd(8, 0, 9),
      I.addi(9, 9, 8),
      I.addi(8, 8, -1),
      I.bne(8, 0, -12),
      I.ecall(),
    ];
    hart.put(fill, 0x7000);
    for (let i = 0; i < 2; i++) expect(hart.runFrom(0x7000)).toBe(RUN.ecall);
    expect(hart.view.getBigUint64(0x6000, true)).toBe(512n);
    expect(hart.view.getBigUint64(0x6ff8, true)).toBe(1n);
    const code = new DataView(encode([I.addi(6, 0, 5), I.jalr(0, 1, 0)]).buffer).getBigUint64(0, true);
    hart.core.setX(7, code);
    hart.put([I.sd(7, 0, 5), I.fencei(), I.jalr(1, 5, 0), I.ecall()], 0x9000);
    expect(hart.runFrom(0x9000)).toBe(RUN.ecall);
    expect(hart.core.x(6)).toBe(5n);
  });

  it('a program that rewrites its own page often keeps running', () => {
    // x6 counts; the addi's immediate is rewritten in each round
    const program = [
      I.addi(6, 6, 1), // 0x2000
      I.sw(7, 0, 5),
      I.addi(8, 8, -1),
      I.bne(8, 0, -12),
    ];
    hart.core.setX(5, BASE + 0x2000n);
    hart.core.setX(6, 0n);
    hart.core.setX(7, word(I.addi(6, 6, 2)));
    hart.core.setX(8, 500n);
    expect(hart.trapOf(program)).toBeNull();
    expect(hart.core.x(6)).toBe(1n + 499n * 2n);
  });

  it('more pages of code than the cache holds', () => {
    const pages = AT.CODE_PAGES + 300;
    const chain = (offset: number) => hart.put([I.addi(6, 6, 1), I.jal(0, 0x1000 - 4)], offset);
    for (let i = 0; i < pages; i++) chain(0x10000 + i * 0x1000);
    hart.put([I.ecall()], 0x10000 + pages * 0x1000);
    hart.core.flush();
    hart.core.setX(6, 0n);
    for (let round = 0; round < 3; round++) expect(hart.runFrom(0x10000)).toBe(RUN.ecall);
    expect(hart.core.x(6)).toBe(BigInt(3 * pages));
  });
});

describe('the dirty log', () => {
  const log = () => {
    const { dirtyLogOffset } = hart.layout.machine;
    return new Uint8Array(hart.memory.buffer, dirtyLogOffset, hart.ram.length / 4096);
  };
  const words = () => new Int32Array(hart.memory.buffer, hart.layout.cpuOffset, AT.PAGE / 4);
  const marked = () => [...log()].flatMap((mark, page) => (mark === 0 ? [] : [page]));
  const harvest = () => {
    log().fill(0);
    Atomics.add(words(), AT.DIRTY_GENERATION / 4, 1);
  };

  it('marks what is stored to, however it is stored, once per harvest', () => {
    words()[AT.DIRTY_LOGGING / 4] = 1;
    harvest();
    hart.core.setX(5, ADDRESS);
    hart.core.setX(6, ADDRESS + 0x3000n);
    hart.core.setX(8, ADDRESS + 0x5ffcn);
    hart.fs = 1;
    const program = [
      I.sb(7, 0, 5),
      amoInstruction('or', true, 0, 0, 6),
      I.sd(7, 0, 8),
      I.ld(7, 0x400, 5),
      I.ecall(),
    ];
    hart.put(program, 0x2000);
    hart.core.flush();
    const wanted = [0x40, 0x43, 0x45, 0x46];
    hart.runFrom(0x2000);
    expect(marked()).toEqual(wanted);
    // no harvest, no new mark: the entry is writable now
    log().fill(0);
    hart.runFrom(0x2000);
    expect(marked()).toEqual([]);
    harvest();
    hart.runFrom(0x2000);
    expect(words()[AT.DIRTY_ACKNOWLEDGED / 4]).toBe(words()[AT.DIRTY_GENERATION / 4]);
    expect(marked()).toEqual(wanted);
  });

  it('is answered by a hart that stands still, too; off, it marks nothing', () => {
    harvest();
    hart.core.acknowledgeDirtyLog();
    expect(words()[AT.DIRTY_ACKNOWLEDGED / 4]).toBe(words()[AT.DIRTY_GENERATION / 4]);
    hart.core.setX(5, ADDRESS);
    hart.execute([I.sb(7, 0, 5), amoInstruction('or', true, 0, 0, 5)]);
    expect(marked()).toEqual([]);
  });

  it('marks pages of code as well, and pages behind page tables', () => {
    hart.enablePaging();
    hart.map(0x7000n, ADDRESS, RWX);
    words()[AT.DIRTY_LOGGING / 4] = 1;
    harvest();
    hart.core.setX(5, 0x7008n);
    hart.core.setX(6, BASE + 0x2800n);
    expect(hart.trapOf([I.sd(7, 0, 5), I.sd(7, 0, 6)])).toBeNull();
    expect(marked()).toEqual([2, 0x40]);
  });
});
