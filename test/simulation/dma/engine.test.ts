/** The production engine over a bus that posts its writes: the guest sees later what it sees at once without, and no more. */
import { describe, expect, it } from 'vitest';
import { RX, rxQueueOffset } from '../../../src/hardware/nic/offsets.js';
import { Choices } from '../../../src/simulation/clockwork/choices.js';
import { EventLog } from '../../../src/simulation/clockwork/event-log.js';
import { Scheduler } from '../../../src/simulation/clockwork/scheduler.js';
import { PostedDomain } from '../../../src/simulation/dma/posted-writes.js';
import {
  Card,
  frameOf,
  macOf,
  PEER_MAC,
  Pool,
  RxRing,
  TXD_EOP_RS,
  TxRing,
} from '../../hardware/nic/engine-harness.js';

const SLOTS = 64;
const FRAMES = 48;
const DONE = 1;

interface Posted {
  readonly card: Card;
  readonly domain: () => PostedDomain;
  readonly scheduler: Scheduler;
}

function postedCard(seed: number): Posted {
  const choices = new Choices(seed);
  const log = new EventLog({ keep: 'none' });
  const scheduler = new Scheduler({ choices, log, limits: { maxEvents: 1e6, maxVirtualMs: 1e4 } });
  const host = scheduler.host('source');
  let domain: PostedDomain | null = null;
  const card = new Card((handle) => {
    domain = new PostedDomain(handle, { scheduler, choices: choices.fork('dma'), host });
    return domain;
  });
  return { card, domain: () => domain!, scheduler };
}

async function pass(scheduler: Scheduler, ns: number): Promise<void> {
  let isOver = false;
  scheduler.at(ns, 'over', () => {
    isOver = true;
  });
  await scheduler.run(() => isOver);
}

/** Buffers lie across each other and across pages; every fourth frame is sent on from where it was received. */
async function traffic(seed: number, card: Card, between: (pool: Pool) => Promise<void>): Promise<Pool> {
  const choices = new Choices(seed).fork('traffic');
  const pool = new Pool(card, 0);
  const rx = new RxRing(pool, { count: SLOTS });
  const tx = new TxRing(pool);
  const buffers = Array.from({ length: SLOTS }, () => 0x10_0000 + choices.int(16 * 1024) * 2);
  for (const [slot, buffer] of buffers.entries()) rx.write(slot, [buffer, 0, 0, 0]);
  rx.setTail(SLOTS - 1);
  for (let i = 0; i < FRAMES; i++) {
    const length = choices.between(60, 1514);
    card.wire.arriving.push(frameOf(macOf(0), PEER_MAC, length, i));
    if (choices.chance(0.5)) card.engine.step();
    await between(pool);
    if (i % 4 !== 3) continue;
    card.run();
    const slot = rx.head === 0 ? 0 : rx.head - 1;
    tx.push([buffers[slot]!, 0, TXD_EOP_RS | length, length << 14]);
    tx.ring();
    card.run();
  }
  card.run();
  return pool;
}

describe('the engine over posted writes', () => {
  it('ends with the memory, the truth and the frames sent that direct writes give', async () => {
    for (let seed = 0; seed < 12; seed++) {
      const directCard = new Card();
      const direct = await traffic(seed, directCard, async () => {});
      const { card, domain, scheduler } = postedCard(seed);
      const choices = new Choices(seed).fork('pauses');
      let neverDone = 0;
      const pool = await traffic(seed, card, async (at) => {
        await pass(scheduler, choices.int(4_000));
        // a done bit in memory: the frame is there
        const head = card.get(rxQueueOffset(0) + RX.RDH);
        for (let slot = 0; slot < head; slot++) {
          if ((at.memory.i32[(0x1_0000 + slot * 16 + 8) >> 2]! & DONE) === 0) neverDone++;
        }
      });
      expect(domain().pendingChunks).toBeGreaterThan(0);
      expect(neverDone).toBeGreaterThan(0);
      domain().landAll();
      expect(Buffer.from(pool.memory.u8).equals(Buffer.from(direct.memory.u8))).toBe(true);
      expect(pool.truthPages()).toEqual(direct.truthPages());
      expect(Buffer.concat(card.wire.sent).equals(Buffer.concat(directCard.wire.sent))).toBe(true);
    }
  });

  it('interrupts when what it tells of is in memory', async () => {
    for (let seed = 0; seed < 20; seed++) {
      const { card, domain, scheduler } = postedCard(seed);
      const pool = new Pool(card, 0);
      pool.enableInterrupts();
      const rx = new RxRing(pool);
      rx.post(32);
      const told: boolean[] = [];
      card.onMessage = () => {
        const heads = rx.head;
        domain().after(() => told.push((rx.status(heads - 1) & DONE) !== 0));
      };
      for (let i = 0; i < 8; i++) {
        card.wire.arriving.push(frameOf(macOf(0), PEER_MAC, 1000, i));
        card.run();
        await pass(scheduler, 1_000);
      }
      await pass(scheduler, 1e6);
      expect(told.length).toBeGreaterThan(0);
      expect(told).not.toContain(false);
    }
  });
});
