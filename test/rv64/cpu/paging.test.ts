import { beforeEach, describe, expect, it } from 'vitest';
import { I } from './assembler.js';
import { CSR, PTE, RWX, SupervisorHart } from './supervisor-hart.js';
import { BASE } from './test-hart.js';

const DATA = 0x40000;
const PHYSICAL = BASE + BigInt(DATA);
const VIRTUAL = 0x1234_5000n;
const SUM = 1n << 18n;
const MXR = 1n << 19n;
const FAULT = { fetch: 12n, load: 13n, store: 15n };

let hart: SupervisorHart;
beforeEach(() => {
  hart = new SupervisorHart();
  hart.enablePaging();
  // a page of code for U mode, its program at the start
  hart.map(0x10000n, BASE + 0x3000n, RWX | PTE.U);
});

/** What comes of an access to x5 (= address) in either mode: its trap's cause, or null (U mode's own ECALL counts as none). */
function access(kind: 'load' | 'store' | 'fetch' | 'amo', address: bigint, user = false): bigint | null {
  const word = {
    load: I.ld(6, 0, 5),
    store: I.sd(7, 0, 5),
    fetch: I.jalr(0, 5, 0),
    amo: I.scd(6, 7, 5),
  }[kind];
  hart.core.setX(5, BigInt.asUintN(64, address));
  const where = user ? { at: 0x3000, virtual: 0x10000n, user } : {};
  const trap = hart.trapOf([word], where);
  if (trap === null || trap.cause === 8n) return null;
  if (trap.cause >= 12n) expect(trap.value).toBe(BigInt.asUintN(64, address));
  return trap.cause;
}

describe('translation', () => {
  it('a page, from any of its bytes', () => {
    hart.map(VIRTUAL, PHYSICAL, RWX);
    hart.ram.fill(0, DATA, DATA + 4096);
    hart.view.setBigUint64(DATA + 0x128, 0x1122334455667788n, true);
    expect(access('load', VIRTUAL + 0x128n)).toBeNull();
    expect(hart.core.x(6)).toBe(0x1122334455667788n);
    hart.core.setX(7, 99n);
    expect(access('store', VIRTUAL + 0xff8n)).toBeNull();
    expect(hart.view.getBigUint64(DATA + 0xff8, true)).toBe(99n);
  });

  it('superpages of 2 MiB and 1 GiB', () => {
    hart.view.setBigUint64(0x212340, 77n, true);
    hart.map(0x3f_ffe0_0000n, BASE + 0x20_0000n, RWX, 1);
    hart.map(0x10_4000_0000n, BASE, RWX, 2);
    for (const address of [0x3f_ffe1_2340n, 0x10_4021_2340n]) {
      hart.core.setX(6, 0n);
      expect(access('load', address)).toBeNull();
      expect(hart.core.x(6)).toBe(77n);
    }
  });

  it('addresses whose upper bits are no sign extension fault', () => {
    for (const address of [1n << 39n, 1n << 38n, -(1n << 39n) - 8n, (1n << 63n) - 8n]) {
      expect(access('load', address)).toBe(FAULT.load);
      expect(access('store', address)).toBe(FAULT.store);
      expect(access('fetch', address)).toBe(FAULT.fetch);
    }
  });

  it('the upper half is mapped like the lower', () => {
    const high = BigInt.asUintN(64, -0x1000n);
    hart.map(high & ((1n << 39n) - 1n), PHYSICAL, RWX);
    hart.view.setBigUint64(DATA, 4711n, true);
    expect(access('load', high)).toBeNull();
    expect(hart.core.x(6)).toBe(4711n);
  });

  it('nothing mapped, or a table outside RAM', () => {
    expect(access('load', 0x5_0000_0000n)).toBe(FAULT.load);
    const entry = hart.map(VIRTUAL, PHYSICAL, RWX, 1);
    hart.view.setBigUint64(entry, (0x1000n << 10n) | 1n, true);
    hart.core.flush();
    expect(access('load', VIRTUAL)).toBe(5n);
    expect(access('store', VIRTUAL)).toBe(7n);
    expect(access('fetch', VIRTUAL)).toBe(1n);
  });

  it('a page of a device calls out', () => {
    const calls: unknown[] = [];
    const seeing = new SupervisorHart({
      mmioRead: (low, high, size) => {
        calls.push(['read', low, high, size]);
        return 0x87654321;
      },
      mmioWrite: (...args) => calls.push(['write', ...args]),
    });
    seeing.enablePaging();
    seeing.map(VIRTUAL, 0x12_3000_0000n, RWX);
    seeing.core.setX(5, VIRTUAL + 0x10n);
    seeing.core.setX(7, 0x1_0000_0002n);
    expect(
      seeing.trapOf([I.lw(6, 0, 5), I.lwu(8, 0, 5), I.lbu(9, 1, 5), I.sd(7, 8, 5), I.sb(7, 3, 5)]),
    ).toBeNull();
    expect(seeing.core.x(6)).toBe(0xffffffff_87654321n);
    expect(seeing.core.x(8)).toBe(0x87654321n);
    expect(seeing.core.x(9)).toBe(0x21n);
    expect(calls).toEqual([
      ['read', 0x30000010, 0x12, 4],
      ['read', 0x30000010, 0x12, 4],
      ['read', 0x30000011, 0x12, 1],
      ['write', 0x30000018, 0x12, 8, 2, 1],
      ['write', 0x30000013, 0x12, 1, 2, 0],
    ]);
  });
});

describe('permissions', () => {
  const leaf = PTE.V | PTE.A | PTE.D;

  it.each([
    ['read only', leaf | PTE.R, [null, FAULT.store, FAULT.fetch]],
    ['read and write', leaf | PTE.R | PTE.W, [null, null, FAULT.fetch]],
    ['execute only', leaf | PTE.X, [FAULT.load, FAULT.store, null]],
    ['read and execute', leaf | PTE.R | PTE.X, [null, FAULT.store, null]],
    ['all', RWX, [null, null, null]],
    ['write without read', leaf | PTE.W, [FAULT.load, FAULT.store, FAULT.fetch]],
    ['not valid', RWX & ~PTE.V, [FAULT.load, FAULT.store, FAULT.fetch]],
    ['not accessed', RWX & ~PTE.A, [FAULT.load, FAULT.store, FAULT.fetch]],
    ['not dirty', RWX & ~PTE.D, [null, FAULT.store, null]],
  ] as const)('%s', (_what, flags, wanted) => {
    hart.map(VIRTUAL, PHYSICAL, flags);
    hart.put([I.ecall()], DATA);
    // what is stored there is the same instruction
    hart.core.setX(7, BigInt(I.ecall()));
    const got = [access('load', VIRTUAL), access('store', VIRTUAL), access('fetch', VIRTUAL)];
    expect(got).toEqual(wanted);
    expect(access('amo', VIRTUAL)).toBe(wanted[1]);
  });

  it('reserved bits, a pointer with the bits of a leaf, a misaligned superpage', () => {
    const at = hart.map(VIRTUAL, PHYSICAL, RWX);
    const entry = hart.view.getBigUint64(at, true);
    for (const bit of [54n, 60n, 61n, 62n, 63n]) {
      hart.view.setBigUint64(at, entry | (1n << bit), true);
      hart.core.flush();
      expect(access('load', VIRTUAL)).toBe(FAULT.load);
    }
    const pointer = hart.map(0x8000_0000_0n, BASE + 0x1000n, PTE.V | PTE.A, 1);
    expect(pointer).toBeGreaterThan(0);
    expect(access('load', 0x8000_0000_0n)).toBe(FAULT.load);
    hart.map(0x9000_0000_0n, BASE + 0x1000n, RWX, 1);
    expect(access('load', 0x9000_0000_0n)).toBe(FAULT.load);
    // at the last level a pointer is a fault
    hart.map(VIRTUAL, PHYSICAL, PTE.V);
    expect(access('load', VIRTUAL)).toBe(FAULT.load);
  });

  it('pages of U mode, and of S mode', () => {
    hart.map(VIRTUAL, PHYSICAL, RWX);
    expect(access('load', VIRTUAL, true)).toBe(FAULT.load);
    expect(access('store', VIRTUAL, true)).toBe(FAULT.store);
    expect(access('fetch', VIRTUAL, true)).toBe(FAULT.fetch);
    hart.map(VIRTUAL, PHYSICAL, RWX | PTE.U);
    expect(access('load', VIRTUAL, true)).toBeNull();
    expect(access('store', VIRTUAL, true)).toBeNull();
    expect(access('load', VIRTUAL)).toBe(FAULT.load);
    expect(access('store', VIRTUAL)).toBe(FAULT.store);
    expect(access('fetch', VIRTUAL)).toBe(FAULT.fetch);
  });

  it('SUM opens them to S mode for data, at once and no longer than it is set', () => {
    hart.map(VIRTUAL, PHYSICAL, RWX | PTE.U);
    hart.core.setX(5, VIRTUAL);
    hart.core.setX(8, SUM);
    const program = [
      I.csrrs(0, CSR.sstatus, 8),
      I.ld(6, 0, 5),
      I.sd(6, 0, 5),
      I.csrrc(0, CSR.sstatus, 8),
      I.ld(6, 0, 5),
    ];
    expect(hart.trapOf(program)).toEqual({ cause: FAULT.load, value: VIRTUAL, pc: BASE + 0x2010n });
    hart.status = SUM;
    expect(access('fetch', VIRTUAL)).toBe(FAULT.fetch);
  });

  it('MXR makes what can be executed readable', () => {
    hart.map(VIRTUAL, PHYSICAL, leaf | PTE.X);
    hart.status = MXR;
    expect(access('load', VIRTUAL)).toBeNull();
    expect(access('store', VIRTUAL)).toBe(FAULT.store);
    hart.core.setX(5, VIRTUAL);
    hart.core.setX(8, MXR);
    expect(hart.trapOf([I.ld(6, 0, 5), I.csrrc(0, CSR.sstatus, 8), I.ld(6, 0, 5)])?.pc).toBe(BASE + 0x2008n);
  });
});

describe('stale translations', () => {
  it('sfence.vma makes a changed entry count', () => {
    const at = hart.map(VIRTUAL, PHYSICAL, RWX);
    hart.view.setBigUint64(DATA, 1n, true);
    hart.view.setBigUint64(DATA + 0x1000, 2n, true);
    hart.core.setX(5, VIRTUAL);
    hart.core.setX(8, BASE + BigInt(at));
    hart.core.setX(9, (((PHYSICAL + 0x1000n) >> 12n) << 10n) | BigInt(RWX));
    for (const fence of [I.sfence(), I.sfence(5, 0)]) {
      hart.map(VIRTUAL, PHYSICAL, RWX);
      expect(hart.trapOf([I.ld(6, 0, 5), I.sd(9, 0, 8), fence, I.ld(7, 0, 5)])).toBeNull();
      expect([hart.core.x(6), hart.core.x(7)]).toEqual([1n, 2n]);
    }
  });

  it.each([1, 300, 510, 511, 512, 513, 1000])('sfence.vma forgets an entry after %i other pages', (pages) => {
    const at = hart.map(VIRTUAL, PHYSICAL, RWX);
    hart.core.setX(5, VIRTUAL);
    hart.core.setX(8, BASE + BigInt(at));
    hart.core.setX(13, 0x1000n);
    const touch = [I.ld(6, 0, 11), I.sd(6, 0, 11), I.add(11, 11, 13), I.addi(12, 12, -1), I.bne(12, 0, -16)];
    const use = [I.ld(6, 0, 5), I.sd(6, 0, 5)];
    for (const access of use) {
      hart.map(VIRTUAL, PHYSICAL, RWX);
      hart.core.setX(11, BASE + 0x10000n);
      hart.core.setX(12, BigInt(pages));
      const trap = hart.trapOf([I.sfence(), ...touch, ...use, I.sd(0, 0, 8), I.sfence(), access]);
      expect(trap?.cause).toBe(access === use[0] ? FAULT.load : FAULT.store);
    }
  });

  it('sfence.vma of any address of a superpage forgets all of it', () => {
    for (const level of [1, 2]) {
      const base = 0x10_4000_0000n;
      const entry = hart.map(base, BASE, RWX, level);
      hart.view.setBigUint64(0x40000, 1n, true);
      hart.core.setX(5, base + 0x40000n);
      hart.core.setX(8, BASE + BigInt(entry));
      hart.core.setX(10, base + 0x7000n);
      // no longer there: the load that was answered before must fault
      const program = [I.ld(6, 0, 5), I.sd(0, 0, 8), I.sfence(10, 0), I.ld(7, 0, 5)];
      expect(hart.trapOf(program)).toMatchObject({ cause: FAULT.load, pc: BASE + 0x200cn });
      expect(hart.core.x(6)).toBe(1n);
    }
  });

  it('sfence.vma of a page leaves no entry of any kind', () => {
    const at = hart.map(VIRTUAL, PHYSICAL, RWX);
    hart.put([I.jalr(0, 1, 0)], DATA);
    hart.core.setX(5, VIRTUAL);
    hart.core.setX(8, BASE + BigInt(at));
    hart.core.setX(7, BigInt(I.jalr(0, 1, 0)));
    const use = [I.ld(6, 0, 5), I.sw(7, 0, 5), I.jalr(1, 5, 0)];
    for (const [i, access] of use.entries()) {
      hart.map(VIRTUAL, PHYSICAL, RWX);
      const trap = hart.trapOf([...use, I.sd(0, 0, 8), I.sfence(5, 5), access]);
      expect(trap?.cause).toBe([FAULT.load, FAULT.store, FAULT.fetch][i]);
    }
  });

  it('another satp is another address space', () => {
    hart.map(VIRTUAL, PHYSICAL, RWX);
    hart.core.setX(5, VIRTUAL);
    expect(
      hart.trapOf([I.ld(6, 0, 5), I.csrrw(9, CSR.satp, 0), I.csrrw(0, CSR.satp, 9), I.ld(6, 0, 5)]),
    ).toBeNull();
    // with translation off the address is a device's
    expect(
      hart.trapOf([I.ld(6, 0, 5), I.csrrw(9, CSR.satp, 0), I.ld(6, 0, 5), I.csrrw(0, CSR.satp, 9)]),
    ).toBeNull();
    expect(hart.core.x(6)).toBe(0n);
  });
});

describe('accesses across two pages', () => {
  beforeEach(() => {
    // neighbours in the address space that are none in RAM
    hart.map(VIRTUAL, PHYSICAL, RWX);
    hart.map(VIRTUAL + 0x1000n, PHYSICAL + 0x8000n, RWX);
  });

  it('take their bytes from both', () => {
    for (let distance = 1; distance < 8; distance++) {
      const address = VIRTUAL + 0x1000n - BigInt(distance);
      hart.core.setX(7, 0x8899aabbccddeeffn);
      expect(access('store', address)).toBeNull();
      expect(hart.ram[DATA + 0xfff]).toBe(
        Number((0x8899aabbccddeeffn >> BigInt(8 * (distance - 1))) & 0xffn),
      );
      expect(access('load', address)).toBeNull();
      expect(hart.core.x(6)).toBe(0x8899aabbccddeeffn);
    }
  });

  it('fault as a whole: stval is the page that is missing, and nothing is written', () => {
    hart.map(VIRTUAL + 0x1000n, PHYSICAL + 0x8000n, RWX & ~PTE.W & ~PTE.R & ~PTE.X & ~PTE.V);
    hart.ram.fill(0x55, DATA, DATA + 0x1000);
    hart.core.setX(5, VIRTUAL + 0xffcn);
    hart.core.setX(7, 0n);
    expect(hart.trapOf([I.sd(7, 0, 5)])).toMatchObject({ cause: FAULT.store, value: VIRTUAL + 0x1000n });
    expect(hart.ram.slice(DATA + 0xff8, DATA + 0x1000)).toEqual(new Uint8Array(8).fill(0x55));
    expect(hart.trapOf([I.ld(7, 0, 5)])).toMatchObject({ cause: FAULT.load, value: VIRTUAL + 0x1000n });
  });

  it('an instruction across two pages: both halves are fetched, a missing second half is named', () => {
    const word = I.addi(9, 9, 5);
    hart.view.setUint16(DATA + 0xffe, word & 0xffff, true);
    hart.view.setUint16(DATA + 0x8000, word >>> 16, true);
    hart.put([I.ecall()], DATA + 0x8002);
    hart.core.setX(9, 0n);
    hart.core.flush();
    for (let i = 0; i < 3; i++) expect(hart.trapFrom(VIRTUAL + 0xffen)).toBeNull();
    expect(hart.core.x(9)).toBe(15n);
    // the second page is another one now
    hart.map(VIRTUAL + 0x1000n, PHYSICAL + 0x9000n, RWX);
    hart.view.setUint16(DATA + 0x9000, I.addi(9, 9, 7) >>> 16, true);
    hart.put([I.ecall()], DATA + 0x9002);
    expect(hart.trapFrom(VIRTUAL + 0xffen)).toBeNull();
    expect(hart.core.x(9)).toBe(22n);
    // an illegal one shows both halves as well
    const load = I.flw(1, 4, 5);
    hart.view.setUint16(DATA + 0xffe, load & 0xffff, true);
    hart.view.setUint16(DATA + 0x9000, load >>> 16, true);
    hart.core.flush();
    hart.fs = 0;
    expect(hart.trapFrom(VIRTUAL + 0xffen)).toMatchObject({ cause: 2n, value: BigInt(load) });
    hart.map(VIRTUAL + 0x1000n, PHYSICAL, PTE.V | PTE.R | PTE.A);
    expect(hart.trapFrom(VIRTUAL + 0xffen)).toEqual({
      cause: FAULT.fetch,
      value: VIRTUAL + 0x1000n,
      pc: VIRTUAL + 0xffen,
    });
  });
});
