/** shadow-doorbell while the driver takes its rings down and up in every way it can. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import srvm from '../../../plugins/srvm/plugin.js';
import { guestFrame } from '../../../src/plugin/conformance/mini-driver.js';
import { MigrationRig } from '../../../src/plugin/conformance/rig.js';
import { TEST_MAC } from '../../../src/plugin/conformance/test-host.js';
import { ENABLE, REG, RX, rxRegister } from '../../../src/plugin/vf82599/registers.js';

const TX_RING_PAGE = 0x180;

type Action =
  | 'offer'
  | 'engine'
  | 'clean'
  | 'core'
  | 'round'
  | 'restart'
  | 'otherRing'
  | 'reset'
  | 'off'
  | 'headZero'
  | 'pattern';

const weighted = (
  weight: number,
  ...actions: Action[]
): { weight: number; arbitrary: fc.Arbitrary<Action> } => ({
  weight,
  arbitrary: fc.constantFrom(...actions),
});
const action = fc.oneof(
  weighted(8, 'offer', 'engine', 'clean', 'core'),
  weighted(1, 'round'),
  weighted(1, 'restart', 'otherRing', 'reset', 'off', 'headZero', 'pattern'),
);

async function perform(rig: MigrationRig, what: Action): Promise<void> {
  const { driver, host } = rig;
  switch (what) {
    case 'offer':
      return rig.offer(9, 600);
    case 'engine':
      return rig.engine();
    case 'clean':
      driver.clean();
      driver.send(guestFrame(TEST_MAC, 60));
      return;
    case 'core':
      return rig.step();
    case 'round':
      return rig.round();
    case 'restart':
      return driver.startRx(0);
    case 'otherRing':
      driver.habits = { ...driver.habits, ringsAt: 0x10_0000 + ((driver.habits.ringsAt + 0x1000) & 0x7000) };
      return driver.startRx(0);
    case 'reset':
      host.guestReset();
      return driver.up();
    case 'off':
      // without a look at whether it took: the next restart finds it so
      host.guestWrite(rxRegister(0, RX.RXDCTL), 0);
      return;
    case 'headZero':
      // a running queue's head is the device's, unless all is started over
      return driver.startRx(0);
    case 'pattern':
      // a self-test's writes
      driver.stopRx(0);
      for (const value of [0x5a5a5a5a, 0xffffffff, 0]) {
        host.guestWrite(rxRegister(0, RX.RDBAL), value);
        expect(host.guestRead(rxRegister(0, RX.RDBAL))).toBe((value & 0xffffff80) >>> 0);
        host.guestWrite(rxRegister(0, RX.RDLEN), value);
        expect(host.guestRead(rxRegister(0, RX.RDLEN))).toBe(value & 0xfff80);
        host.guestWrite(rxRegister(0, RX.RDT), value);
        expect(host.guestRead(rxRegister(0, RX.RDT))).toBe(value & 0xffff);
      }
      return driver.startRx(0);
  }
}

describe('shadow-doorbell under reprogramming', () => {
  it('misses nothing, marks nothing else, and the driver gets every answer it polls for', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(action, { minLength: 20, maxLength: 100 }), async (actions) => {
        const rig = new MigrationRig(srvm, {
          options: { mode: 'shadow-doorbell' },
          habits: { freshBuffers: true },
        });
        try {
          rig.driver.up();
          await rig.start();
          for (const each of actions) await perform(rig, each);
          rig.driver.startRx(0);
          // whatever is left on the cable is dropped or taken first
          for (let i = 0; i < 60; i++) {
            rig.engine();
            rig.driver.clean();
            rig.step();
            if (i === 50) rig.offer(3, 100);
          }
          await rig.stopAndCopy();
          expect([...rig.missed]).toEqual([]);
          // a Tx head that a driver set to 0 looks like one that moved
          expect([...rig.overMarked].filter((page) => page !== TX_RING_PAGE)).toEqual([]);
          expect(rig.differingPages()).toEqual([]);
          expect(rig.driver.received.at(-1)).toBe(rig.offered - 1);
          expect(rig.driver.damaged).toBe(0);
        } finally {
          rig.close();
        }
      }),
      { numRuns: 40 },
    );
  });

  it('shows the guest counters and heads as the device has them', async () => {
    const rig = new MigrationRig(srvm, { options: { mode: 'shadow-doorbell' } });
    rig.driver.up();
    await rig.start();
    rig.offer(10, 200);
    rig.engine();
    rig.step();
    expect(rig.host.guestRead(REG.VFGPRC)).toBe(10);
    expect(rig.host.guestRead(REG.VFGORC_LSB)).toBe(10 * 204);
    expect(rig.host.guestRead(rxRegister(0, RX.RDH))).toBe(10);
    expect(rig.host.guestRead(rxRegister(0, RX.RXDCTL)) & ENABLE).toBe(ENABLE);
    // writes to what the device owns are ignored, as it would
    rig.host.guestWrite(REG.VFGPRC, 7);
    expect(rig.host.guestRead(REG.VFGPRC)).toBe(10);
    rig.close();
  });

  it('shows the head that moved while the page was taken over', async () => {
    for (let readsBefore = 0; readsBefore < 60; readsBefore++) {
      const rig = new MigrationRig(srvm, { options: { mode: 'shadow-doorbell' } });
      rig.driver.up();
      rig.offer(10, 200);
      let reads = 0;
      rig.host.beforeRead = () => {
        if (reads++ === readsBefore) rig.engine();
      };
      await rig.start();
      rig.host.beforeRead = null;
      rig.engine();
      rig.step();
      expect(rig.host.guestRead(rxRegister(0, RX.RDH)), `after ${readsBefore} reads`).toBe(10);
      rig.close();
    }
  });

  it('a driver that writes and reads before the first turn waits for it', async () => {
    const rig = new MigrationRig(srvm, { options: { mode: 'shadow-doorbell' } });
    const { host, driver } = rig;
    driver.up();
    const tail = host.guestRead(rxRegister(0, RX.RDT));
    rig.offer(10, 200);
    const pump = host.onGuestWaits;
    let waits = 0;
    host.beforeRead = () => {
      if (host.guestIsHeld || host.mapping !== 'shadow') return;
      // the page has just been taken over: frames arrive, and the driver asks how far the device is
      host.beforeRead = null;
      rig.engine();
      host.guestWrite(rxRegister(0, RX.RDT), tail);
      host.onGuestWaits = () => {
        waits++;
        throw new Error('the guest waits');
      };
      expect(() => host.guestRead(rxRegister(0, RX.RDH))).toThrow('the guest waits');
      host.onGuestWaits = pump;
    };
    await rig.start();
    expect(waits).toBe(1);
    expect(host.guestRead(rxRegister(0, RX.RDH))).toBe(10);
    rig.close();
  });

  it('a head that moved before the core saw the queue start is shown', async () => {
    const rig = new MigrationRig(srvm, { options: { mode: 'shadow-doorbell' } });
    const { host, driver } = rig;
    driver.up();
    rig.offer(10, 200);
    rig.engine();
    await rig.start();
    driver.stopRx(0);
    const control = host.guestRead(rxRegister(0, RX.RXDCTL));
    host.guestWrite(rxRegister(0, RX.RXDCTL), control | ENABLE);
    // the core asks the device to start; it does, and has taken frames by the time the core looks again
    rig.step();
    rig.offer(5, 200);
    rig.engine();
    rig.engine();
    rig.step();
    rig.step();
    expect(host.guestRead(rxRegister(0, RX.RXDCTL)) & ENABLE).not.toBe(0);
    expect(host.guestRead(rxRegister(0, RX.RDH))).toBe(15);
    rig.close();
  });

  it('a head of 0 that the driver writes is not taken for the one that the core left there', async () => {
    const rig = new MigrationRig(srvm, { options: { mode: 'shadow-doorbell' } });
    const { host, driver } = rig;
    driver.up();
    await rig.start();
    // nothing has arrived: the head that the guest sees is 0
    const ring = (offset: number): number => rxRegister(0, offset);
    host.guestWrite(ring(RX.RXDCTL), 0);
    // the device goes on until the core has seen that
    rig.offer(5, 200);
    rig.engine();
    const base = driver.habits.ringsAt + 0x4000;
    host.guestWrite(ring(RX.RDBAL), base);
    host.guestWrite(ring(RX.RDLEN), 16 * 16);
    host.guestWrite(ring(RX.RDH), 0);
    host.guestWrite(ring(RX.RDT), 0);
    host.guestWrite(ring(RX.RXDCTL), ENABLE);
    await rig.round();
    expect(rig.host.access.parts.bar0.read32(ring(RX.RDBAL))).toBe(base);
    expect(rig.host.access.parts.bar0.read32(ring(RX.RDH))).toBe(0);
    expect(rig.host.guestRead(ring(RX.RDH))).toBe(0);
    rig.close();
  });

  it('counts programmings and notices a reset behind its back', async () => {
    const rig = new MigrationRig(srvm, { options: { mode: 'shadow-doorbell' } });
    rig.driver.up();
    await rig.start();
    rig.driver.startRx(0);
    rig.host.guestReset();
    rig.step();
    expect(rig.host.guestRead(rxRegister(0, RX.RXDCTL)) & ENABLE).toBe(0);
    rig.driver.up();
    await rig.stopAndCopy();
    const { counters } = await rig.migrator.stop();
    expect(counters).toMatchObject({ ringProgrammings: 2, deviceResets: 1 });
    rig.close();
  });
});
