/** The card on the main thread: its worker's sleep, its VFs' assignment, announcements. */
import { afterEach, describe, expect, it } from 'vitest';
import { CONTROL, REGION } from '../../src/hardware/nic/shared.js';
import { Nic, NicError } from '../../src/hypervisor/nic.js';
import { type Cabled, cabledNic, threads, threadsEndedSince, until } from './lab.js';

const MAC = '52:54:00:00:00:01';
const asleep = (nic: Nic): boolean =>
  Atomics.load(nic.shared.words, REGION.control + CONTROL.engineAsleep) === 1;

describe('a card', () => {
  let cabled: Cabled | null = null;
  afterEach(async () => {
    await cabled?.close();
    cabled = null;
  });

  it('sleeps when nothing happens, and stays asleep', async () => {
    cabled = await cabledNic();
    const { nic } = cabled;
    await until('sleep', () => asleep(nic));
    const before = await nic.stats();
    await new Promise((resolve) => setTimeout(resolve, 200));
    await until('sleep', () => asleep(nic));
    const after = await nic.stats();
    expect(after.busySteps).toBe(before.busySteps);
    // it goes back to sleep after a question, and looks up once a second
    const seconds = (after.aliveNs - before.aliveNs) / 1e9;
    expect(after.sleeps - before.sleeps).toBeLessThanOrEqual(3 + 2 * seconds);
  });

  it('announces the addresses of a VF on the wire, tagged where it has VLANs', async () => {
    cabled = await cabledNic();
    const { nic, wire } = cabled;
    const vf = nic.allocateVf({ mac: MAC });
    const record = nic.driver.vf(vf);
    nic.driver.setVlan(record, 9, true);
    expect(nic.announce(vf)).toBe(true);
    const frames: string[] = [];
    const take = (bytes: Uint8Array, offset: number, length: number): boolean => {
      frames.push(Buffer.from(bytes.subarray(offset, offset + length)).toString('hex'));
      return true;
    };
    await until('two frames', () => {
      wire.receive(take, 10);
      return frames.length === 2;
    });
    expect(frames[0]).toMatch(/^f{12}52540000000180350001080006040003525400000001/);
    expect(frames[1]).toMatch(/^f{12}525400000001810000098035/);
  });

  it('announces more addresses than its ring holds, given time', async () => {
    cabled = await cabledNic();
    const { nic } = cabled;
    const vf = nic.allocateVf({ mac: MAC });
    for (let i = 0; i < 200; i++) {
      await until('room in the ring', () => nic.announce(vf));
    }
  });

  it('tells of a link that goes down', async () => {
    const links: boolean[] = [];
    cabled = await cabledNic({ onLink: (up) => links.push(up) });
    // the register says so before the PF's interrupt has been handled: a link that went down by then was never up
    await until('word of the link', () => links.length === 1);
    await cabled.wire.close();
    await until('link down', () => links.length === 2);
    expect(links).toEqual([true, false]);
    expect(cabled.nic.linkUp).toBe(false);
  });

  it('gives out its VFs, and no more', async () => {
    cabled = await cabledNic({ vfCount: 2 });
    const { nic } = cabled;
    expect([nic.allocateVf({ mac: MAC }), nic.allocateVf()]).toEqual([0, 1]);
    expect(() => nic.allocateVf()).toThrow(NicError);
    expect(nic.driver.vf(0)).toMatchObject({ mac: MAC, macFixed: true });
    expect(nic.driver.vf(1).macFixed).toBe(false);
    await nic.release(0);
    expect(nic.driver.vf(0).mac).toBe('00:00:00:00:00:00');
    expect(nic.allocateVf({ incoming: true })).toBe(0);
    expect(nic.driver.vf(0).mac).toBe('00:00:00:00:00:00');
  });

  it('says why it cannot be opened, and leaves nothing', async () => {
    const before = threads();
    await expect(Nic.open({ wire: 'carrier-pigeon:1' })).rejects.toThrow('carrier-pigeon');
    await expect(Nic.open({ wire: 'null', maxFrameBytes: 100 })).rejects.toThrow(NicError);
    await expect(Nic.open({ wire: 'null', trafficClasses: 3 })).rejects.toThrow(NicError);
    await threadsEndedSince(before);
  });
});
