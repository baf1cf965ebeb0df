import { beforeEach, describe, expect, it } from 'vitest';
import { RUN } from '../../../src/rv64/cpu/core.js';
import { I, loadImmediate, typeI } from './assembler.js';
import { CSR, SupervisorHart } from './supervisor-hart.js';
import { BASE } from './test-hart.js';

let hart: SupervisorHart;
beforeEach(() => {
  hart = new SupervisorHart();
});
const PROGRAM = BASE + 0x2000n;
const INTERRUPT = 1n << 63n;

describe('exceptions', () => {
  it.each([
    ['zero', 0x0000, 0n],
    ['all ones', 0xffffffff, 0xffffffffn],
    ['mret', 0x30200073, 0x30200073n],
    ['a hole in OP', 0x40001033, 0x40001033n],
    ['a hole in OP-32', 0x0200103b, 0x0200103bn],
    ['a shift by 32 of words', 0x0201109b, 0x0201109bn],
    ['a cache operation', 0x0020200f, 0x0020200fn],
    ['a vector load', 0x02005007, 0x02005007n],
    ['a load of no size', typeI(3, 7, 1, 1, 0), BigInt(typeI(3, 7, 1, 1, 0))],
    ['a reserved compressed one', 0x8000, 0x8000n],
    ['c.addiw x0', 0x2001, 0x2001n],
    ['lr with an operand', 0x1010a0af | (3 << 20), BigInt(0x1010a0af | (3 << 20))],
  ])('illegal: %s', (_what, word, value) => {
    expect(hart.trapOf([I.addi(1, 0, 1), word])).toEqual({ cause: 2n, value, pc: PROGRAM + 4n });
    // neither counts as retired: one ECALL comes after
    expect(hart.core.instructions()).toBe(2);
  });

  it('EBREAK, also compressed', () => {
    expect(hart.trapOf([I.ebreak()])).toEqual({ cause: 3n, value: PROGRAM, pc: PROGRAM });
    expect(hart.trapOf([0x9002])).toEqual({ cause: 3n, value: PROGRAM, pc: PROGRAM });
  });

  it('ECALL of U mode goes to S mode, that of S mode to the host', () => {
    expect(hart.trapOf([I.ecall()], { user: true })).toEqual({ cause: 8n, value: 0n, pc: PROGRAM });
    expect(hart.trapOf([])).toBeNull();
    expect(hart.core.pc).toBe(PROGRAM + 4n);
  });

  it('a trap saves the mode and masks interrupts; SRET takes it back', () => {
    hart.status = 2n; // SIE
    hart.trapOf([0x0000]);
    expect(hart.status & 0x122n).toBe(0x120n); // SPP, SPIE
    const handler = [I.addi(9, 9, 1), ...loadImmediate(5, PROGRAM + 8n), I.csrrw(0, CSR.sepc, 5), I.sret()];
    hart.put(handler, 0x8000);
    hart.core.setX(9, 0n);
    hart.status = 2n;
    expect(hart.trapOf([I.addi(0, 0, 0), 0xffffffff])).not.toBeNull();
    expect(hart.core.x(9)).toBe(1n);
    expect(hart.status & 0x122n).toBe(0x22n); // SIE again, SPIE set, SPP user
    expect(hart.core.privilege).toBe(1);
  });

  it('SRET to U mode drops the privilege', () => {
    hart.put([I.csrrw(0, CSR.sepc, 5), I.sret()], 0x2000);
    hart.put([I.csrrs(0, CSR.sstatus, 0)], 0x3000);
    hart.core.setX(5, BASE + 0x3000n);
    hart.core.flush();
    hart.status = 0x20n;
    expect(hart.trapFrom(PROGRAM)).toEqual({
      cause: 2n,
      value: BigInt(I.csrrs(0, CSR.sstatus, 0)),
      pc: BASE + 0x3000n,
    });
  });

  it('U mode may not do what is S mode', () => {
    for (const word of [
      I.sret(),
      I.wfi(),
      I.sfence(),
      I.csrrs(1, CSR.sscratch, 0),
      I.csrrs(1, CSR.stopi, 0),
    ]) {
      expect(hart.trapOf([word], { user: true })).toEqual({ cause: 2n, value: BigInt(word), pc: PROGRAM });
    }
  });

  it('a handler that faults itself ends with the budget', () => {
    hart.write(CSR.stvec, 0x10n); // nothing is there
    hart.core.pc = 0x20n;
    expect(hart.core.run(1000)).toBe(RUN.budget);
  });

  it('beyond RAM: access faults', () => {
    const beyond = BASE + BigInt(hart.ram.length);
    hart.core.setX(5, beyond);
    expect(hart.trapOf([I.jalr(0, 5, 0)])).toEqual({ cause: 1n, value: beyond, pc: beyond });
    const refuses = new SupervisorHart({
      mmioRead: () => {
        refuses.core.mmioFault();
        return 0;
      },
      mmioWrite: () => refuses.core.mmioFault(),
    });
    refuses.core.setX(5, 0x1000n);
    expect(refuses.trapOf([I.lw(1, 4, 5)])).toEqual({ cause: 5n, value: 0x1004n, pc: PROGRAM });
    expect(refuses.trapOf([I.sd(1, 8, 5)])).toEqual({ cause: 7n, value: 0x1008n, pc: PROGRAM });
    expect(refuses.trapOf([I.lrw(1, 5)])).toEqual({ cause: 5n, value: 0x1000n, pc: PROGRAM });
    expect(refuses.trapOf([I.scw(1, 1, 5)])).toEqual({ cause: 7n, value: 0x1000n, pc: PROGRAM });
  });
});

describe('CSRs', () => {
  it('set, clear and swap, and leave alone what is not theirs', () => {
    hart.write(CSR.sscratch, 0xff00n);
    hart.core.setX(5, 0x0ff0n);
    hart.execute([
      I.csrrs(6, CSR.sscratch, 5),
      I.csrrc(7, CSR.sscratch, 5),
      I.csrrw(8, CSR.sscratch, 5),
      I.csrrsi(9, CSR.sscratch, 1),
      I.csrrci(10, CSR.sscratch, 16),
      I.csrrwi(11, CSR.sscratch, 7),
      I.csrrs(12, CSR.sscratch, 0),
    ]);
    const seen = [6, 7, 8, 9, 10, 11, 12].map((n) => hart.core.x(n));
    expect(seen).toEqual([0xff00n, 0xfff0n, 0xf000n, 0x0ff0n, 0x0ff1n, 0x0fe1n, 7n]);
  });

  it('hold only what is legal', () => {
    const ones = (1n << 64n) - 1n;
    const legal: readonly (readonly [number, bigint])[] = [
      [CSR.sie, 0x222n],
      [CSR.sip, 2n],
      [CSR.scounteren, 7n],
      [CSR.sepc, ones - 1n],
      [CSR.scause, (1n << 63n) | 0x3fn],
      [CSR.sstatus, (1n << 63n) | (2n << 32n) | 0xc6122n],
    ];
    hart.core.setStimecmp(ones);
    for (const [csr, value] of legal) {
      hart.write(csr, ones);
      expect(hart.read(csr), csr.toString(16)).toBe(value);
      hart.write(csr, 0n);
    }
    hart.write(CSR.stvec, 0x8001n);
    hart.write(CSR.stvec, 0x9002n);
    expect(hart.read(CSR.stvec)).toBe(0x9001n);
  });

  it('satp takes Sv39 and nothing else', () => {
    hart.write(CSR.satp, 9n << 60n);
    expect(hart.read(CSR.satp)).toBe(0n);
    hart.enablePaging();
    const satp = hart.read(CSR.satp);
    hart.write(CSR.satp, (satp & ((1n << 44n) - 1n)) | (9n << 60n));
    expect(hart.read(CSR.satp)).toBe(satp);
    hart.write(CSR.satp, satp | (0xffffn << 44n));
    expect(hart.read(CSR.satp)).toBe(satp);
  });

  it('counters: read-only, and for U mode only as scounteren says', () => {
    const writes = [I.csrrw(0, CSR.cycle, 5), I.csrrwi(0, CSR.time, 1), I.csrrs(0, CSR.instret, 5)];
    for (const word of writes) expect(hart.trapOf([word])?.cause).toBe(2n);
    expect(hart.trapOf([I.csrrs(1, 0xc03, 0)])?.cause).toBe(2n);
    hart.ticks = 123_456_789;
    expect(hart.read(CSR.time)).toBe(123_456_789n);
    for (const [bit, csr] of [
      [0, CSR.cycle],
      [1, CSR.time],
      [2, CSR.instret],
    ] as const) {
      hart.write(CSR.scounteren, BigInt(7 & ~(1 << bit)));
      expect(hart.trapOf([I.csrrs(1, csr, 0)], { user: true })?.cause).toBe(2n);
      hart.write(CSR.scounteren, BigInt(1 << bit));
      expect(hart.trapOf([I.csrrs(1, csr, 0), I.ecall()], { user: true })?.cause).toBe(8n);
    }
  });

  it('instret counts what has retired', () => {
    hart.execute([I.csrrs(5, CSR.instret, 0), I.addi(0, 0, 0), I.addi(0, 0, 0), I.csrrs(6, CSR.instret, 0)]);
    expect(hart.core.x(6) - hart.core.x(5)).toBe(3n);
    const first = hart.core.instructions();
    hart.execute([I.addi(0, 0, 0), I.csrrs(5, CSR.instret, 0)]);
    expect(hart.core.x(5)).toBe(BigInt(first + 1));
  });

  it.each([0x300, 0x30a, 0x106 + 0x400, 0x180 + 0x80, 0x5a8, 0x600, 0x7a0, 0xb00, 0xf11])(
    'there is none at %i',
    (csr) => {
      expect(hart.trapOf([I.csrrs(1, csr, 0)])?.cause).toBe(2n);
    },
  );

  it('FS follows the floating-point state', () => {
    hart.fs = 0;
    expect(hart.trapOf([I.csrrs(1, CSR.fcsr, 0)])?.cause).toBe(2n);
    hart.fs = 1;
    hart.core.setX(5, BASE);
    expect(hart.trapOf([I.csrrs(1, CSR.fcsr, 0), I.fsd(1, 0, 5)])).toBeNull();
    expect(hart.fs).toBe(1);
    expect(hart.trapOf([I.fld(1, 0, 5)])).toBeNull();
    expect(hart.fs).toBe(3);
    hart.fs = 1;
    hart.write(CSR.fcsr, 0xffn);
    expect(hart.fs).toBe(3);
    expect(hart.read(0x002)).toBe(7n);
    expect(hart.read(CSR.fflags)).toBe(31n);
  });
});

describe('interrupts', () => {
  const SPIN = [I.addi(5, 5, 1), I.jal(0, -4)];

  function spinUntilTrap(): bigint {
    hart.put(SPIN, 0x2000);
    hart.core.flush();
    return hart.trapFrom(PROGRAM)!.cause;
  }

  it('the timer: pending when its time has come, taken when enabled', () => {
    hart.ticks = 1000;
    hart.write(CSR.stimecmp, 1001n);
    expect(hart.read(CSR.sip) & 0x20n).toBe(0n);
    hart.ticks = 1001;
    expect(hart.read(CSR.sip) & 0x20n).toBe(0x20n);
    hart.write(CSR.sie, 0x20n);
    expect(hart.read(CSR.stopi)).toBe((5n << 16n) | 1n);
    hart.status = 2n;
    expect(spinUntilTrap()).toBe(INTERRUPT | 5n);
    // moved into the future it is no longer pending
    hart.write(CSR.stimecmp, 5000n);
    expect(hart.read(CSR.sip)).toBe(0n);
    expect(hart.read(CSR.stopi)).toBe(0n);
  });

  it('a store to stimecmp in the past interrupts at once', () => {
    hart.ticks = 100;
    hart.write(CSR.stimecmp, 1n << 60n);
    hart.write(CSR.sie, 0x20n);
    hart.status = 2n;
    expect(hart.trapOf([I.csrrwi(0, CSR.stimecmp, 5), ...SPIN])).toEqual({
      cause: INTERRUPT | 5n,
      value: 0n,
      pc: PROGRAM + 4n,
    });
  });

  it('S mode masks its own with SIE, U mode never does', () => {
    hart.write(CSR.sie, 2n);
    hart.core.raiseSoftwareInterrupt();
    hart.status = 0n;
    expect(hart.trapOf([I.addi(1, 0, 0)])).toBeNull();
    expect(hart.trapOf([I.addi(1, 0, 0)], { user: true })?.cause).toBe(INTERRUPT | 1n);
    hart.write(CSR.sip, 0n);
    hart.status = 2n;
    expect(hart.trapOf([I.addi(1, 0, 0)])).toBeNull();
  });

  it('setting SIE lets a pending one in behind that instruction', () => {
    hart.write(CSR.sie, 2n);
    hart.core.raiseSoftwareInterrupt();
    hart.status = 0n;
    const trap = hart.trapOf([I.addi(1, 0, 0), I.csrrsi(0, CSR.sstatus, 2), I.addi(1, 0, 1)]);
    expect(trap).toEqual({ cause: INTERRUPT | 1n, value: 0n, pc: PROGRAM + 8n });
  });

  it('external before software before timer; vectored entry', () => {
    hart.write(CSR.sie, 0x222n);
    hart.ticks = 10;
    hart.core.setStimecmp(1n);
    hart.core.raiseSoftwareInterrupt();
    hart.write(CSR.siselect, 0x70n);
    hart.write(CSR.sireg, 1n);
    hart.write(CSR.siselect, 0xc0n);
    hart.write(CSR.sireg, 1n << 20n);
    hart.core.imsicRaise(20);
    const entry = 0x8000 + 4 * 9;
    hart.put([I.ecall()], entry);
    hart.write(CSR.stvec, BASE + 0x8001n);
    hart.status = 2n;
    expect(spinUntilTrap()).toBe(INTERRUPT | 9n);
    expect(hart.core.pc).toBe(BASE + BigInt(entry + 4));
    expect(hart.read(CSR.stopi)).toBe((9n << 16n) | 1n);
    // a claim takes it away; the next in order shows
    hart.write(CSR.stopei, 0n);
    expect(hart.read(CSR.stopi)).toBe((1n << 16n) | 1n);
  });

  it('exceptions do not use the vectors', () => {
    hart.write(CSR.stvec, BASE + 0x8001n);
    expect(hart.trapOf([0x0000])?.cause).toBe(2n);
    expect(hart.core.pc).toBe(BASE + 0x8004n);
  });
});

describe('WFI', () => {
  it('returns to the host, behind itself, unless something enabled is pending', () => {
    hart.put([I.wfi(), I.ecall()], 0x2000);
    hart.core.flush();
    hart.write(CSR.sie, 2n);
    expect(hart.runFrom(0x2000)).toBe(RUN.wfi);
    expect(hart.core.pc).toBe(PROGRAM + 4n);
    expect(hart.core.interruptPending()).toBe(false);
    hart.core.raiseSoftwareInterrupt();
    expect(hart.core.interruptPending()).toBe(true);
    // SIE is off: it goes on without taking it
    expect(hart.runFrom(0x2000)).toBe(RUN.ecall);
  });
});

describe('the interrupt file', () => {
  const select = (register: number, value?: bigint) => {
    hart.write(CSR.siselect, BigInt(register));
    if (value === undefined) return hart.read(CSR.sireg);
    hart.write(CSR.sireg, value);
    return value;
  };

  it('the lowest enabled identity below the threshold', () => {
    select(0x70, 1n);
    for (const word of [0xc0, 0xc2, 0xc4, 0xc6]) select(word, (1n << 64n) - 1n);
    expect(select(0xc0)).toBe((1n << 64n) - 2n);
    hart.core.imsicRaise(200);
    expect(hart.read(CSR.stopei)).toBe((200n << 16n) | 200n);
    hart.core.imsicRaise(70);
    hart.core.imsicRaise(3);
    expect(hart.read(CSR.stopei)).toBe((3n << 16n) | 3n);
    select(0x72, 3n);
    expect(hart.read(CSR.stopei)).toBe(0n);
    select(0x72, 4n);
    hart.execute([I.csrrw(5, CSR.stopei, 0)]);
    expect(hart.core.x(5)).toBe((3n << 16n) | 3n);
    select(0x72, 0n);
    expect(hart.read(CSR.stopei)).toBe((70n << 16n) | 70n);
    select(0xc2, 0n);
    expect(hart.read(CSR.stopei)).toBe((200n << 16n) | 200n);
    expect(select(0x86)).toBe(1n << 8n);
    expect(select(0x82)).toBe(1n << 6n);
  });

  it('pending bits set and cleared through sireg touch no others', () => {
    hart.core.imsicRaise(5);
    hart.write(CSR.siselect, 0x80n);
    hart.core.setX(5, 1n << 9n);
    hart.execute([I.csrrs(0, CSR.sireg, 5)]);
    hart.core.setX(5, 1n << 5n);
    hart.execute([I.csrrc(6, CSR.sireg, 5)]);
    expect(hart.core.x(6)).toBe((1n << 9n) | (1n << 5n));
    expect(hart.read(CSR.sireg)).toBe(1n << 9n);
  });

  it('delivery off: nothing arrives, stopei shows it all the same', () => {
    select(0xc0, 1n << 9n);
    hart.core.imsicRaise(9);
    hart.write(CSR.sie, 0x200n);
    expect(hart.read(CSR.sip)).toBe(0n);
    expect(hart.read(CSR.stopei)).toBe((9n << 16n) | 9n);
    select(0x70, 1n);
    expect(hart.read(CSR.sip)).toBe(0x200n);
  });

  it('identities out of range are not raised; registers that are not there trap', () => {
    hart.core.imsicRaise(0);
    hart.core.imsicRaise(256);
    expect([0x80, 0x82, 0x84, 0x86].map((r) => select(r))).toEqual([0n, 0n, 0n, 0n]);
    for (const register of [0x71, 0x81, 0xc1, 0x31, 0x00, 0x50]) {
      hart.write(CSR.siselect, BigInt(register));
      expect(hart.trapOf([I.csrrs(1, CSR.sireg, 0)])?.cause).toBe(2n);
    }
    expect(select(0x30)).toBe(0n);
  });
});
