/** Messages between the PF driver and a VF's driver beyond the card's own protocol. */
import { describe, expect, it } from 'vitest';
import { VFMAILBOX } from '../../src/hardware/nic/mailbox.js';
import { VF } from '../../src/hardware/nic/offsets.js';
import { CLEAR_TO_SEND, FAILURE, MESSAGE, SUCCESS } from '../../src/hypervisor/mailbox-service.js';
import { GuestSilentError } from '../../src/hypervisor/vendor-requests.js';
import { exportVfPolicy, importVfPolicy, VfPolicyError } from '../../src/hypervisor/vf-policy.js';
import { type GuestMailbox, PfRig } from './pf-rig.js';

const GRANTED = (SUCCESS | CLEAR_TO_SEND) >>> 0;
const TYPE = 0x61;
const LONG_MS = 20_000;

const windowOf = (guest: GuestMailbox) => ({
  read: () => guest.bar.read32(0, VF.MAILBOX),
  write: (value: number) => guest.bar.write32(0, VF.MAILBOX, value),
});

describe('what a driver says', () => {
  it('is kept by type until it resets its VF, and moves with the policy', () => {
    const source = new PfRig();
    const guest = source.admitted(0);
    expect(guest.ask(TYPE, 7, 8)[0]).toBe((GRANTED | TYPE) >>> 0);
    expect(guest.ask(TYPE, 9)[0]).toBe((GRANTED | TYPE) >>> 0);
    const target = new PfRig();
    const policy = structuredClone(exportVfPolicy(source.driver, 0, windowOf(guest)));
    importVfPolicy(target.driver, 3, policy, windowOf(target.vf(3)));
    expect(target.driver.vf(3).vendorMessages.get(TYPE)?.slice(0, 2)).toEqual([TYPE, 9]);
    guest.reset();
    expect(source.driver.vf(0).vendorMessages.size).toBe(0);
  });

  it('is believed on arrival only as far as it is one', () => {
    const rig = new PfRig();
    const guest = rig.admitted(0);
    const policy = exportVfPolicy(rig.driver, 0, windowOf(guest));
    const words = new Array<number>(16).fill(0);
    for (const vendorMessages of [[[1]], [words], [['x']], new Array(17).fill([TYPE, ...words.slice(1)])]) {
      const arrive = (): void =>
        importVfPolicy(
          rig.driver,
          0,
          { ...policy, vendorMessages: vendorMessages as number[][] },
          windowOf(guest),
        );
      expect(arrive).toThrow(VfPolicyError);
    }
  });
});

describe('what a driver is asked', () => {
  it('reaches it through the mailbox, and its answer comes back', async () => {
    const rig = new PfRig();
    const guest = rig.admitted(2);
    const answer = rig.service.ask(2, [TYPE, 3], LONG_MS);
    rig.service.service();
    expect(guest.take()?.slice(0, 2)).toEqual([(TYPE | CLEAR_TO_SEND) >>> 0, 3]);
    rig.service.service();
    guest.post((TYPE | SUCCESS | CLEAR_TO_SEND) >>> 0, 55);
    rig.service.service();
    expect((await answer).slice(0, 2)).toEqual([(TYPE | GRANTED) >>> 0, 55]);
    expect(guest.take()).toBeNull();
  });

  it('waits until the driver has read the answer to its own question', async () => {
    const rig = new PfRig();
    const guest = rig.admitted(0);
    guest.post(MESSAGE.getLinkState, 0);
    rig.service.service();
    const answer = rig.service.ask(0, [TYPE], LONG_MS);
    rig.service.service();
    // its own answer, not our question
    expect(guest.take()?.[0]).toBe((GRANTED | MESSAGE.getLinkState) >>> 0);
    rig.service.service();
    expect(guest.take()?.[0]).toBe((TYPE | CLEAR_TO_SEND) >>> 0);
    guest.post((TYPE | FAILURE) >>> 0);
    rig.service.service();
    expect((await answer)[0]).toBe((TYPE | FAILURE) >>> 0);
  });

  it('is asked again when the driver wrote over it unread, but not when it had read it', async () => {
    const rig = new PfRig();
    const guest = rig.admitted(0);
    const answer = rig.service.ask(0, [TYPE, 1], LONG_MS);
    rig.service.service();
    guest.bar.read32(0, VF.MAILBOX);
    expect(guest.ask(MESSAGE.getLinkState, 0)[0]).toBe((GRANTED | MESSAGE.getLinkState) >>> 0);
    rig.service.service();
    expect(guest.take()?.[0]).toBe((TYPE | CLEAR_TO_SEND) >>> 0);
    rig.service.service();
    expect(guest.ask(MESSAGE.getLinkState, 0)[0]).toBe((GRANTED | MESSAGE.getLinkState) >>> 0);
    rig.service.service();
    expect(guest.take()).toBeNull();
    guest.post((TYPE | SUCCESS) >>> 0);
    rig.service.service();
    await answer;
  });

  it('comes after a reset that the question itself brought about', async () => {
    const rig = new PfRig();
    const guest = rig.admitted(0);
    const answer = rig.service.ask(0, [TYPE, 4], LONG_MS);
    rig.service.service();
    guest.take();
    guest.reset();
    guest.ask(MESSAGE.reset);
    guest.post((TYPE | SUCCESS) >>> 0, 1);
    rig.service.service();
    expect((await answer)[1]).toBe(1);
  });

  it('fails by name when nobody answers, and when the VF is taken back', async () => {
    const rig = new PfRig();
    rig.admitted(0);
    const silent = rig.service.ask(0, [TYPE], 5);
    rig.service.service();
    await expect(silent).rejects.toThrow(GuestSilentError);
    await expect(rig.service.ask(0, [TYPE], 5)).rejects.toThrow('has not read');
    const abandoned = rig.service.ask(0, [TYPE], LONG_MS);
    rig.service.abandon(0);
    await expect(abandoned).rejects.toThrow('taken back');
    expect(() => rig.service.ask(0, [MESSAGE.reset], 5)).toThrow(RangeError);
  });

  it('is never seen by a driver that nobody asks anything', () => {
    const rig = new PfRig();
    const guest = rig.admitted(0);
    for (let i = 0; i < 5; i++) rig.service.service();
    expect(guest.bar.read32(0, VF.MAILBOX) & VFMAILBOX.PFSTS).toBe(0);
  });
});
