/** `scan` where it must notice that it cannot know: laps and reprogrammings that leave head and tail looking innocent. */
import { afterEach, describe, expect, it } from 'vitest';
import { mayHaveLapped } from '../../../plugins/srvm/lap-detector.js';
import srvm from '../../../plugins/srvm/plugin.js';
import { guestFrame } from '../../../src/plugin/conformance/mini-driver.js';
import { MigrationRig } from '../../../src/plugin/conformance/rig.js';
import { TEST_MAC } from '../../../src/plugin/conformance/test-host.js';

const rigs: MigrationRig[] = [];
afterEach(() => {
  for (const rig of rigs.splice(0)) rig.close();
});

const scanning = async (rxSlots = 64): Promise<MigrationRig> => {
  const rig = new MigrationRig(srvm, {
    options: { mode: 'scan' },
    habits: { freshBuffers: true, rxSlots, batch: 1 },
  });
  rigs.push(rig);
  rig.driver.up();
  await rig.start();
  return rig;
};

/** So many frames come in and are taken, one by one; the core sees none of it. */
const consume = (rig: MigrationRig, frames: number): void => {
  for (let i = 0; i < frames; i++) {
    rig.offer(1, 300);
    rig.engine();
    rig.driver.clean();
  }
};

const finish = async (rig: MigrationRig): Promise<void> => {
  rig.step();
  await rig.stopAndCopy();
  expect([...rig.missed]).toEqual([]);
  expect(rig.differingPages()).toEqual([]);
};
const LAPPED = expect.stringMatching(
  /^scan may have been lapped in the \d+ us between two looks: all of guest RAM was marked, tracking goes on by shadow/,
);

describe('scan', () => {
  it('follows what it can follow, and says nothing', async () => {
    const rig = await scanning();
    for (let i = 0; i < 30; i++) {
      consume(rig, 40);
      rig.step();
    }
    await finish(rig);
    expect(rig.notes).toEqual([]);
    expect([...rig.overMarked]).toEqual([]);
  });

  it('notices a whole lap more than the head shows', async () => {
    const rig = await scanning();
    consume(rig, 64 + 3);
    await finish(rig);
    expect(rig.notes).toEqual([LAPPED]);
  });

  it('notices a head past the tail it saw last', async () => {
    const rig = await scanning();
    rig.driver.habits = { ...rig.driver.habits, batch: 1000 };
    consume(rig, 60);
    rig.step();
    // three posted slots are known; the driver refills once, and ten are consumed
    rig.driver.habits = { ...rig.driver.habits, batch: 1 };
    rig.driver.clean();
    rig.driver.habits = { ...rig.driver.habits, batch: 1000 };
    consume(rig, 10);
    await finish(rig);
    expect(rig.notes).toEqual([LAPPED]);
  });

  it('notices a ring that was started over, by packets that the head does not account for', async () => {
    const rig = await scanning();
    consume(rig, 10);
    rig.step();
    rig.driver.startRx(0);
    consume(rig, 12);
    await finish(rig);
    expect(rig.notes).toEqual([LAPPED]);
  });

  it('notices a ring that was started over although head and packets agree', async () => {
    const rig = await scanning();
    consume(rig, 10);
    rig.step();
    consume(rig, 54);
    rig.driver.startRx(0);
    consume(rig, 3);
    await finish(rig);
    expect(rig.notes).toEqual([LAPPED]);
  });

  it('notices a ring that was started over with other buffers before anything came, and then ran dry', async () => {
    const rig = await scanning();
    rig.driver.startRx(0);
    rig.offer(63, 300);
    rig.engine();
    rig.step();
    await rig.round();
    expect([...rig.missed]).toEqual([]);
    expect(rig.notes).toEqual([LAPPED]);
  });

  it('notices one that was stopped again after it had taken some frames', async () => {
    const rig = await scanning();
    rig.driver.startRx(0);
    rig.offer(20, 300);
    rig.engine();
    rig.driver.stopRx(0);
    rig.step();
    await rig.round();
    expect([...rig.missed]).toEqual([]);
    expect(rig.notes).toEqual([LAPPED]);
  });

  it('notices another ring', async () => {
    const rig = await scanning();
    consume(rig, 10);
    rig.step();
    rig.driver.habits = { ...rig.driver.habits, ringsAt: 0x10_4000 };
    rig.driver.startRx(0);
    consume(rig, 12);
    await finish(rig);
    expect(rig.notes).toEqual([LAPPED]);
  });

  it('a frame of many octets may have taken many descriptors: large ones are not laps', async () => {
    const rig = await scanning();
    for (let i = 0; i < 30; i++) {
      for (let j = 0; j < 20; j++) {
        rig.offer(1, 1514);
        rig.engine();
        rig.driver.clean();
      }
      rig.step();
    }
    await finish(rig);
    expect(rig.notes).toEqual([]);
  });

  it('notices a lap by frames of many descriptors, of which there were no more than the head shows', async () => {
    const rig = new MigrationRig(srvm, {
      options: { mode: 'scan' },
      habits: { freshBuffers: true, batch: 1, bufferKib: 1 },
    });
    rigs.push(rig);
    rig.driver.up();
    await rig.start();
    for (let i = 0; i < 8; i++) {
      rig.offer(1, 9000);
      rig.engine();
      rig.driver.clean();
    }
    await finish(rig);
    expect(rig.notes).toEqual([LAPPED]);
  });

  it("marks the ring's own pages on both sides of its end", async () => {
    const rig = await scanning(512);
    consume(rig, 250);
    rig.step();
    consume(rig, 250);
    await rig.round();
    consume(rig, 20);
    await rig.round();
    expect([...rig.missed]).toEqual([]);
    expect([...rig.overMarked]).toEqual([]);
  });

  it('marks a Tx ring that was left for another one since the last look', async () => {
    const rig = await scanning();
    rig.driver.send(guestFrame(TEST_MAC, 60));
    rig.engine();
    await rig.round();
    rig.driver.send(guestFrame(TEST_MAC, 60));
    rig.engine();
    rig.driver.txRingsAt += 0x8000;
    rig.driver.startTx(0);
    rig.driver.send(guestFrame(TEST_MAC, 60));
    rig.engine();
    await rig.round();
    expect([...rig.missed]).toEqual([]);
  });

  it('notices a ring that came and was gone between two looks', async () => {
    const rig = new MigrationRig(srvm, {
      options: { mode: 'scan' },
      habits: { freshBuffers: true, rxSlots: 64 },
    });
    rigs.push(rig);
    rig.driver.up();
    rig.host.guestReset();
    await rig.start();
    // the second reset leaves the registers as the first one did
    rig.driver.up();
    consume(rig, 20);
    rig.host.guestReset();
    rig.step();
    await rig.round();
    expect([...rig.missed]).toEqual([]);
    expect(rig.notes).toEqual([LAPPED]);
  });
});

describe('mayHaveLapped', () => {
  it('is certain only where one number of laps fits', () => {
    expect(mayHaveLapped(10, 10, 10, 0, 64)).toBe(false);
    // some packets may have taken two descriptors
    expect(mayHaveLapped(20, 10, 10, 0, 64)).toBe(false);
    expect(mayHaveLapped(74, 10, 10, 0, 64)).toBe(true);
    expect(mayHaveLapped(73, 10, 10, 0, 64)).toBe(false);
    // the other queue accounts for the rest
    expect(mayHaveLapped(100, 100, 10, 90, 64)).toBe(false);
    // heads that moved without packets, packets without heads
    expect(mayHaveLapped(9, 9, 10, 0, 64)).toBe(true);
    expect(mayHaveLapped(12, 11, 10, 0, 64)).toBe(true);
  });
});
