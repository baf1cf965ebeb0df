/** The switch: a device's state moves to another card with no help from the driver, or goes on where it was. */
import { afterEach, describe, expect, it } from 'vitest';
import srvm from '../../../plugins/srvm/plugin.js';
import { Arrival } from '../../../src/plugin/conformance/arrival.js';
import { guestFrame } from '../../../src/plugin/conformance/mini-driver.js';
import { MigrationRig } from '../../../src/plugin/conformance/rig.js';
import { TEST_MAC } from '../../../src/plugin/conformance/test-host.js';
import { REG } from '../../../src/plugin/vf82599/registers.js';

const closing: { close(): void }[] = [];
afterEach(() => {
  for (const each of closing.splice(0)) each.close();
});

const rigWith = (mode: string, queues = 1): MigrationRig => {
  const rig = new MigrationRig(srvm, { options: { mode }, queues, habits: { freshBuffers: true } });
  closing.push(rig);
  rig.driver.up();
  rig.offer(30, 500);
  rig.engine();
  rig.driver.clean();
  return rig;
};

const traffic = (rig: MigrationRig, turns: number): void => {
  for (let i = 0; i < turns; i++) {
    rig.offer(7, 300);
    rig.engine();
    rig.driver.clean();
    rig.driver.send(guestFrame(TEST_MAC, 64));
    rig.step();
  }
};

for (const mode of ['scan', 'shadow-doorbell']) {
  describe(`a switch with ${mode}`, () => {
    it('delivers every frame once, on either side of it', async () => {
      const rig = rigWith(mode);
      await rig.start();
      traffic(rig, 50);
      await rig.round();
      traffic(rig, 20);
      // completed but not looked at by the driver, and one that waits for it
      rig.offer(5, 700);
      rig.engine();
      const state = await rig.stopAndCopy();
      expect(rig.differingPages()).toEqual([]);
      const there = new Arrival(rig, srvm);
      closing.push(there);
      await there.activate(state);
      for (let i = 0; i < 40; i++) {
        there.offer(9, 400);
        there.engine();
        rig.driver.clean();
      }
      const { received, damaged } = rig.driver;
      expect(received).toEqual(Array.from({ length: rig.offered }, (_, i) => i));
      expect(damaged).toBe(0);
      expect(there.host.announcements).toBe(1);
    });

    it('carries statistics on, raises interrupts that may have been lost, and keeps sending', async () => {
      const rig = rigWith(mode);
      await rig.start();
      traffic(rig, 30);
      const state = await rig.stopAndCopy();
      const before = rig.host.access.parts.statistics.read();
      const there = new Arrival(rig, srvm);
      closing.push(there);
      await there.activate(state);
      expect(there.host.access.parts.statistics.read()).toEqual(before);
      expect(there.host.interrupts.get(0)).toBeGreaterThan(0);
      expect(rig.driver.send(guestFrame(TEST_MAC, 80))).toBe(true);
      there.engine();
      expect(there.host.guestRead(REG.VFGPTC)).toBe(before.goodPacketsSent + 1);
      // broadcast frames that the guest sent reached the new wire
      let arrived = 0;
      there.host.peer.receive(() => {
        arrived++;
        return true;
      }, 10);
      expect(arrived).toBe(1);
    });

    it('called off after the device was stopped: it goes on as if nothing had happened', async () => {
      const rig = rigWith(mode);
      await rig.start();
      traffic(rig, 30);
      rig.driver.clean();
      await rig.stopAndCopy();
      await rig.whileStepping(rig.migrator.rollback());
      await rig.migrator.stop();
      rig.core = null;
      expect(rig.host.mapping).toBe('direct');
      traffic(rig, 200);
      expect(rig.driver.received).toEqual(Array.from({ length: rig.offered }, (_, i) => i));
    });

    it('called off in pre-copy: a tail that was not carried over yet is not lost', async () => {
      const rig = rigWith(mode);
      await rig.start();
      traffic(rig, 10);
      rig.offer(40, 300);
      rig.engine();
      rig.driver.clean();
      await rig.whileStepping(rig.migrator.rollback());
      rig.core = null;
      expect(rig.host.mapping).toBe('direct');
      traffic(rig, 200);
      expect(rig.driver.received).toEqual(Array.from({ length: rig.offered }, (_, i) => i));
    });
  });
}
