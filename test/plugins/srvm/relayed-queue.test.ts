/** One relayed queue and its device, register by register: what a driver does in the middle of a packet. */
import { describe, expect, it } from 'vitest';
import { RelayedQueue } from '../../../plugins/srvm/relayed-queue.js';
import { SHARED_WORDS } from '../../../plugins/srvm/shared-words.js';
import type { CoreView } from '../../../src/plugin/api.js';
import { ENABLE, RX, rxRegister } from '../../../src/plugin/vf82599/registers.js';

const SLOTS = 64;
const RING = 0x1000;
const PAGE_BYTES = 4096;
const PAGES = 512;

/** A ring of 64 slots whose slot n holds page 16 + n; the words are its shadow page. */
function relayed(head: number, tail: number) {
  const device = new Map([
    [rxRegister(0, RX.RDBAL), RING],
    [rxRegister(0, RX.RDLEN), SLOTS * 16],
    [rxRegister(0, RX.SRRCTL), 2],
    [rxRegister(0, RX.RXDCTL), ENABLE],
    [rxRegister(0, RX.RDH), head],
    [rxRegister(0, RX.RDT), tail],
  ]);
  const ram = new Int32Array((PAGES * PAGE_BYTES) / 4);
  const marked = new Set<number>();
  const post = (slot: number, page: number): void => {
    ram[(RING + slot * 16) / 4] = page * PAGE_BYTES;
  };
  for (let slot = 0; slot < SLOTS; slot++) post(slot, 16 + slot);
  const view = {
    ram: { bytes: ram.byteLength, u8: new Uint8Array(ram.buffer), i32: ram },
    bar0: {
      read32: (offset: number) => device.get(offset) ?? 0,
      write32: (offset: number, value: number) => void device.set(offset, value),
    },
    dirty: {
      pages: PAGES,
      mark: (page: number) => void marked.add(page),
      markRange: () => undefined,
      markAll: () => undefined,
    },
    shared: new Int32Array(new SharedArrayBuffer(4 * SHARED_WORDS)),
  } as unknown as CoreView;
  const words = new Int32Array(new SharedArrayBuffer(PAGE_BYTES));
  const queue = new RelayedQueue(view, 0, words);
  queue.copyRegisters();
  queue.rememberPosted();
  const word = (offset: number): number => (rxRegister(0, offset) & 0xfff) >> 2;
  /** A turn of the core, after the driver wrote this tail. */
  const turn = (driverTail?: number): void => {
    if (driverTail !== undefined) words[word(RX.RDT)] = driverTail;
    const seen = queue.readTail();
    queue.follow();
    queue.relay(seen);
  };
  const deviceHeadTo = (value: number): void => void device.set(rxRegister(0, RX.RDH), value);
  const deviceHead = (): number => device.get(rxRegister(0, RX.RDH))!;
  const guestWrites = (offset: number, value: number): void => void (words[word(offset)] = value);
  /** Another core's queue takes over what this one left, as when its thread has died. */
  const afterDeath = (): RelayedQueue => {
    const heir = new RelayedQueue(view, 0, words);
    heir.adoptFromDead();
    heir.follow();
    heir.relay(heir.readTail());
    return heir;
  };
  return { queue, marked, post, turn, deviceHeadTo, deviceHead, guestWrites, afterDeath };
}

describe('a driver that sees the first descriptors of a packet done before the head moves', () => {
  // slots 10 to 12 take one packet; the driver has seen the first `done` of them, and posts `fresh` slots anew
  it.each([
    ['as far as the head', 1],
    ['a slot past it', 2],
    ['two slots past it', 3],
  ])('posts slots anew %s', (_title, done) => {
    const { marked, post, turn, deviceHeadTo } = relayed(10, 2);
    const to = 9 + done;
    for (let slot = 2; slot < to; slot++) post(slot, 200 + slot);
    turn(to);
    // completed by then, and forgotten
    for (let slot = 10; slot < to; slot++) expect([...marked]).toContain(16 + slot);
    deviceHeadTo(13);
    turn();
    expect([...marked]).toContain(16 + 12);
    // all the way round: what was posted anew is what counts
    deviceHeadTo(5);
    turn();
    expect([...marked]).toEqual(expect.arrayContaining([202, 203, 204]));
    deviceHeadTo(to);
    turn();
    for (let slot = 2; slot < to; slot++) expect([...marked]).toContain(200 + slot);
  });

  it('and goes on before the head does', () => {
    const { marked, post, turn, deviceHeadTo } = relayed(10, 9);
    post(9, 209);
    turn(10);
    post(10, 210);
    turn(11);
    expect([...marked]).toContain(16 + 10);
    post(11, 211);
    turn(12);
    expect([...marked]).toContain(16 + 11);
    deviceHeadTo(13);
    turn();
    deviceHeadTo(12);
    turn();
    expect([...marked]).toEqual(expect.arrayContaining([16 + 12, 209, 210, 211]));
  });

  it('when the page is taken over in the middle of it', () => {
    const { marked, turn, deviceHeadTo } = relayed(10, 10);
    deviceHeadTo(30);
    turn();
    expect([...marked]).toEqual(expect.arrayContaining([16 + 12, 16 + 29]));
  });
});

it('a tail that is moved back posts nothing', () => {
  const { marked, post, turn, deviceHeadTo } = relayed(10, 40);
  for (let slot = 30; slot < 40; slot++) post(slot, 300 + slot);
  turn(30);
  deviceHeadTo(30);
  turn();
  expect([...marked].sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => 26 + i));
});

describe('a core that died', () => {
  it('left the head at 0: the ring is not started over, wherever the device is by now', () => {
    const { deviceHead, deviceHeadTo, afterDeath } = relayed(0, 30);
    deviceHeadTo(3);
    const heir = afterDeath();
    expect(heir.unsettled).toBe(false);
    expect(heir.running).toBe(true);
    expect(deviceHead()).toBe(3);
  });

  it('left another head, and the guest has written a 0 there: the ring is started over', () => {
    const { deviceHeadTo, guestWrites, turn, afterDeath } = relayed(0, 30);
    deviceHeadTo(3);
    turn();
    guestWrites(RX.RDH, 0);
    expect(afterDeath().unsettled).toBe(true);
  });
});
