/** Sixty functions that all send as fast as they can, on one 10 Gb/s port, in virtual time: what each gets of it. */
import { expect, it } from 'vitest';
import { CONTROL, REGION } from '../../../src/hardware/nic/shared.js';
import { Card, frameOf, macOf, PEER_MAC, Pool, TXD_EOP_RS, TxRing } from './engine-harness.js';

const FRAME_BYTES = 1514;
/** With CRC, preamble and gap. */
const WIRE_BITS = (FRAME_BYTES + 24) * 8;
const REPORT_STATUS = 1 << 27;
const TICK_NS = 20_000;
const TICKS = 1000;

/** Frames that each of `count` functions sent in TICKS ticks, its ring being always full. */
function share(count: number): number[] {
  const card = new Card();
  card.shared.words[REGION.control + CONTROL.linkSpeedMbps] = 10_000;
  const rings = Array.from({ length: count }, (_, index) => new TxRing(new Pool(card, index)));
  for (const [index, ring] of rings.entries()) {
    const frame = frameOf(PEER_MAC, macOf(index), FRAME_BYTES);
    // without a report the descriptor stays as it is: the ring goes round by its tail alone
    for (let slot = 0; slot < ring.count; slot++) ring.pushFrame(frame, TXD_EOP_RS & ~REPORT_STATUS);
  }
  const sent = new Array<number>(count).fill(0);
  card.wire.transmit = (bytes, offset) => {
    sent[bytes[offset + 11]! - 1]!++;
    return true;
  };
  for (let tick = 0; tick < TICKS; tick++) {
    for (const ring of rings) ring.setTail((ring.head + ring.count - 1) % ring.count);
    card.engine.step();
    card.nowNs += TICK_NS;
  }
  return sent;
}

it('sixty functions on one port get alike, and together what one gets alone', () => {
  const line = (10 * TICK_NS * TICKS) / WIRE_BITS;
  const alone = share(1)[0]!;
  expect(alone).toBeGreaterThan(line * 0.98);
  // the port's bucket is full at the beginning
  expect(alone).toBeLessThan(line * 1.08);

  const shares = share(60);
  const total = shares.reduce((sum, each) => sum + each, 0);
  expect(total).toBeGreaterThan(alone * 0.95);
  const squares = shares.reduce((sum, each) => sum + each * each, 0);
  expect((total * total) / (60 * squares)).toBeGreaterThan(0.95);
  expect(Math.min(...shares)).toBeGreaterThan((total / 60) * 0.8);
});
