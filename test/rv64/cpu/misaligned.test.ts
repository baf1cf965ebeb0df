/** Misaligned accesses once their pages are known: as fast as any, and to the right bytes. */
import { beforeEach, describe, expect, it } from 'vitest';
import * as AT from '../../../src/rv64/cpu/wasm/offsets.js';
import { I } from './assembler.js';
import { RandomNumbers } from './random-numbers.js';
import { RWX, SupervisorHart } from './supervisor-hart.js';
import { BASE } from './test-hart.js';

const DATA = 0x40000;
const VIRTUAL = 0x10_0000_0000n;

let hart: SupervisorHart;
beforeEach(() => {
  hart = new SupervisorHart();
});

describe('misaligned accesses', () => {
  it.each([
    ['sb', 'lbu', 1],
    ['sh', 'lhu', 2],
    ['sw', 'lwu', 4],
    ['sd', 'ld', 8],
  ] as const)('%s and %s at any address of pages that are known, and across two', (store, fetch, size) => {
    const numbers = new RandomNumbers(size * 31);
    // a page apart in the table, and in RAM the other way round: what goes to the wrong one is seen
    hart.enablePaging();
    const physical = [DATA + 2 * AT.PAGE, DATA] as const;
    for (const [page, at] of physical.entries()) {
      hart.map(VIRTUAL + BigInt(page * AT.PAGE), BASE + BigInt(at), RWX);
    }
    const wanted = new Uint8Array(2 * AT.PAGE);
    for (const at of physical) hart.ram.fill(0, at, at + AT.PAGE);
    for (let round = 0; round < 400; round++) {
      const edge = numbers.chance(0.5) ? AT.PAGE - 8 + numbers.below(16) : numbers.below(2 * AT.PAGE - 8);
      const value = numbers.bits(size * 8);
      hart.core.setX(5, VIRTUAL);
      hart.core.setX(6, VIRTUAL + BigInt(AT.PAGE));
      hart.core.setX(7, VIRTUAL + BigInt(edge));
      hart.core.setX(8, value);
      // both pages are known to loads and to stores when it comes to the access
      const know = [5, 6].flatMap((page) => [I.lbu(9, 64, page), I.sb(9, 64, page)]);
      hart.execute([...know, I[store](8, 0, 7), I[fetch](10, 0, 7)]);
      for (let i = edge; i < edge + size; i++) {
        wanted[i] = Number((value >> BigInt(8 * (i - edge))) & 0xffn);
        expect(hart.ram[physical[i < AT.PAGE ? 0 : 1] + (i % AT.PAGE)]).toBe(wanted[i]);
      }
      expect(hart.core.x(10)).toBe(value);
    }
    for (const [page, at] of physical.entries()) {
      const there = hart.ram.slice(at, at + AT.PAGE);
      expect(there).toEqual(wanted.slice(page * AT.PAGE, (page + 1) * AT.PAGE));
    }
  });

  it('a misaligned access to two pages of which only the first is known, or only the second', () => {
    hart.enablePaging();
    hart.map(VIRTUAL, BASE + BigInt(DATA), RWX);
    hart.core.setX(5, VIRTUAL);
    hart.core.setX(7, VIRTUAL + BigInt(AT.PAGE) - 3n);
    const across = [I.ld(9, 0, 5), I.sd(9, 0, 5), I.ld(10, 0, 7)];
    expect(hart.trapOf(across)).toMatchObject({ cause: 13n, value: VIRTUAL + BigInt(AT.PAGE) });
    hart.core.setX(5, VIRTUAL);
    hart.core.setX(7, VIRTUAL - 3n);
    expect(hart.trapOf(across)).toMatchObject({ cause: 13n, value: VIRTUAL - 3n });
    expect(hart.trapOf([I.ld(9, 0, 5), I.sd(9, 0, 5), I.sd(10, 0, 7)])).toMatchObject({
      cause: 15n,
      value: VIRTUAL - 3n,
    });
  });
});
