/** A look at one ring, register read by register read: what happens between two of them cannot be had from a device. */
import { describe, expect, it } from 'vitest';
import { ScannedQueue } from '../../../plugins/srvm/scanned-queue.js';
import type { CoreView } from '../../../src/plugin/api.js';
import { ENABLE, RX, rxRegister } from '../../../src/plugin/vf82599/registers.js';

/** A ring of 64 slots of 2 KiB; heads are read in the order given, the last one for ever. */
function queueWith(registers: { tail: number; heads: number[] }): ScannedQueue {
  const fixed = new Map([
    [rxRegister(0, RX.RXDCTL), ENABLE],
    [rxRegister(0, RX.RDLEN), 64 * 16],
    [rxRegister(0, RX.SRRCTL), 2],
  ]);
  const read32 = (offset: number): number => {
    if (offset === rxRegister(0, RX.RDT)) return registers.tail;
    if (offset !== rxRegister(0, RX.RDH)) return fixed.get(offset) ?? 0;
    return registers.heads.length > 1 ? registers.heads.shift()! : registers.heads[0]!;
  };
  const view = {
    ram: { bytes: 8192, u8: new Uint8Array(8192), i32: new Int32Array(2048) },
    bar0: { read32, write32: () => undefined },
    dirty: { pages: 2, mark: () => undefined, markRange: () => undefined, markAll: () => undefined },
  } as unknown as CoreView;
  return new ScannedQueue(view, 0);
}

describe('a look at a ring', () => {
  it.each([
    ['short of what was known', 4, true],
    ['so near to the new slots that a long packet may have reached them', 8, false],
    ['past them', 15, false],
  ])('while new slots are read the device comes to be %s', (_title, headAfterwards, followed) => {
    const registers = { tail: 10, heads: [0] };
    const queue = queueWith(registers);
    queue.attach();
    expect(queue.known).toBe(10);
    registers.tail = 30;
    registers.heads = [0, headAfterwards];
    expect(queue.look()).toBe(followed);
  });
});
