import { Encoder } from 'cbor-x';
import { describe, expect, it } from 'vitest';
import { RUN } from '../../../src/rv64/cpu/core.js';
import {
  CPU_STATE_VERSION,
  CpuStateError,
  decodeCpuState,
  restoreCpu,
  saveCpu,
} from '../../../src/rv64/cpu/state.js';
import { I, loadImmediate } from './assembler.js';
import { RandomNumbers } from './random-numbers.js';
import { BASE, TestHart } from './test-hart.js';

const codec = new Encoder({ useRecords: false, mapsAsObjects: true, tagUint8Array: false });

/** A hart in the middle of something, with as much state set as a guest can set. */
function busyHart(): TestHart {
  const hart = new TestHart();
  const csrs = [0x104, 0x105, 0x106, 0x10a, 0x140, 0x141, 0x142, 0x143, 0x14d, 0x003];
  const program = [
    ...loadImmediate(5, 0x2000n),
    I.csrrs(0, 0x100, 5), // FS initial
    ...csrs.flatMap((csr, i) => [
      ...loadImmediate(6, 0x1122334455660n + BigInt(i) * 64n),
      I.csrrw(0, csr, 6),
    ]),
    ...loadImmediate(6, 0xc0n),
    I.csrrw(0, 0x150, 6), // siselect: eie0
    ...loadImmediate(7, 0x12340n),
    I.csrrw(0, 0x151, 7),
  ];
  hart.execute(program);
  const numbers = new RandomNumbers(11);
  for (let i = 1; i < 32; i++) hart.core.setX(i, numbers.bits(64));
  for (let i = 0; i < 32; i++) hart.core.setF(i, numbers.bits(64));
  hart.core.imsicRaise(200);
  return hart;
}

describe('a saved hart', () => {
  it('comes back as it was, through CBOR', () => {
    const source = busyHart();
    const saved = saveCpu(source.memory, source.layout);
    const target = new TestHart();
    restoreCpu(target.memory, target.layout, decodeCpuState(codec.decode(codec.encode(saved))));
    expect(saveCpu(target.memory, target.layout)).toEqual(saved);
    expect(saved.eip[6]).toBe(1 << 8);
    expect(saved.instret).toBeGreaterThan(30n);
  });

  it('goes on in another memory exactly where it stopped', () => {
    const loop = [
      I.addi(5, 5, 1),
      I.mul(6, 6, 5),
      I.xor(6, 6, 5),
      I.addi(7, 7, -1),
      I.bne(7, 0, -16),
      I.ecall(),
    ];
    const start = (hart: TestHart) => {
      hart.put(loop);
      hart.core.setX(6, 99n);
      hart.core.setX(7, 5000n);
      hart.core.pc = BASE;
    };
    const whole = new TestHart();
    start(whole);
    expect(whole.core.run(100_000)).toBe(RUN.ecall);

    let hart = new TestHart();
    start(hart);
    for (let moves = 0; moves < 4; moves++) {
      expect(hart.core.run(3001)).toBe(RUN.budget);
      const next = new TestHart();
      next.ram.set(hart.ram);
      restoreCpu(next.memory, next.layout, decodeCpuState(saveCpu(hart.memory, hart.layout)));
      next.core.flush();
      hart = next;
    }
    expect(hart.core.run(100_000)).toBe(RUN.ecall);
    expect(hart.core.x(6)).toBe(whole.core.x(6));
    expect(hart.core.instructions()).toBe(whole.core.instructions());
  });

  it('keeps an interrupt that a device raised before', () => {
    const hart = new TestHart();
    const state = decodeCpuState(saveCpu(hart.memory, hart.layout));
    hart.core.imsicRaise(33);
    restoreCpu(hart.memory, hart.layout, state);
    expect(saveCpu(hart.memory, hart.layout).eip[1]).toBe(2);
  });
});

describe('a hostile state', () => {
  const good = () => ({ ...saveCpu(busyHart().memory, new TestHart().layout) }) as Record<string, unknown>;

  it.each([
    ['no record', () => 7],
    ['an older version', () => ({ ...good(), version: CPU_STATE_VERSION - 1 })],
    ['a newer version', () => ({ ...good(), version: CPU_STATE_VERSION + 1 })],
    ['an odd pc', () => ({ ...good(), pc: 1n })],
    ['a pc of 65 bits', () => ({ ...good(), pc: 1n << 64n })],
    ['a negative register', () => ({ ...good(), stval: -1n })],
    ['a text for a register', () => ({ ...good(), sepc: '0' })],
    ['machine mode', () => ({ ...good(), privilege: 3 })],
    ['a paging mode that is not there', () => ({ ...good(), satp: 1n })],
    ['Sv48', () => ({ ...good(), satp: 9n << 60n })],
    ['too few registers', () => ({ ...good(), x: [1n] })],
    ['a hole in the registers', () => ({ ...good(), f: new Array(32) })],
    ['interrupt identity 0', () => ({ ...good(), eie: [1, 0, 0, 0, 0, 0, 0, 0] })],
    ['a fraction', () => ({ ...good(), eithreshold: 1.5 })],
    ['an interrupt that cannot be enabled', () => ({ ...good(), sie: 1n })],
  ])('%s', (_what, state) => {
    expect(() => decodeCpuState(state())).toThrow(CpuStateError);
  });
});
