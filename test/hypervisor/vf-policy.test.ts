/** What the PF driver knows of a VF, moved to another card. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { VFMAILBOX } from '../../src/hardware/nic/mailbox.js';
import * as at from '../../src/hardware/nic/offsets.js';
import { macHigh, macLow } from '../../src/hypervisor/mac.js';
import { MESSAGE } from '../../src/hypervisor/mailbox-service.js';
import {
  decodeVfPolicy,
  exportVfPolicy,
  importVfPolicy,
  VfPolicyError,
} from '../../src/hypervisor/vf-policy.js';
import { XCAST } from '../../src/hypervisor/vf-record.js';
import { type GuestMailbox, MAC, PfRig } from './pf-rig.js';

const windowOf = (guest: GuestMailbox) => ({
  read: () => guest.bar.read32(0, at.VF.MAILBOX),
  write: (value: number) => guest.bar.write32(0, at.VF.MAILBOX, value),
});

function configured(rig: PfRig, vf: number): GuestMailbox {
  const guest = rig.admitted(vf);
  const macvlan = '52:54:00:00:0b:01';
  guest.ask(MESSAGE.setVlan | (1 << 16), 42);
  guest.ask(MESSAGE.setVlan | (1 << 16), 4000);
  guest.ask(MESSAGE.setMulticast | (2 << 16), 0x0111_0abc);
  guest.ask(MESSAGE.setMacvlan | (1 << 16), macLow(macvlan), macHigh(macvlan));
  guest.ask(MESSAGE.updateXcastMode, XCAST.none);
  return guest;
}

/** Everything in the card that is about one pool, whatever entries it sits in. */
function filtersOf(rig: PfRig, pool: number): unknown {
  const member = (low: number, high: number) => (((pool < 32 ? low : high) >>> (pool & 31)) & 1) !== 0;
  const macs: string[] = [];
  for (let i = 0; i < at.RAR_COUNT; i++) {
    if (member(rig.pf(at.mpsarLoOffset(i)), rig.pf(at.mpsarHiOffset(i))))
      macs.push(`${rig.pf(at.ralOffset(i))} ${rig.pf(at.rahOffset(i))}`);
  }
  const vlans: number[] = [];
  for (let i = 0; i < at.VLVF_COUNT; i++) {
    if (member(rig.pf(at.vlvfbOffset(i, 0)), rig.pf(at.vlvfbOffset(i, 1))))
      vlans.push(rig.pf(at.vlvfOffset(i)));
  }
  const bit = (offset: (half: number) => number) => (rig.pf(offset(pool >> 5)) >>> (pool & 31)) & 1;
  return {
    macs: macs.sort(),
    vlans: vlans.sort(),
    modes: rig.pf(at.vmolrOffset(pool)),
    dma: [bit(at.vfreOffset), bit(at.vfteOffset)],
    multicast: Array.from({ length: at.MTA_WORDS }, (_, i) => rig.pf(at.mtaOffset(i))),
  };
}

describe('a VF policy', () => {
  it('makes another VF of another card what this one was', () => {
    const source = new PfRig();
    const target = new PfRig();
    const from = configured(source, 1);
    const policy = structuredClone(exportVfPolicy(source.driver, 1, windowOf(from)));
    importVfPolicy(target.driver, 5, policy, windowOf(target.vf(5)));
    expect(filtersOf(target, 5)).toEqual(filtersOf(source, 1));
    expect(exportVfPolicy(target.driver, 5, windowOf(target.vf(5)))).toEqual(policy);
    // the guest goes on talking where it was: no reset, version 1.4
    expect(target.vf(5).ask(MESSAGE.getQueues)[1]).toBe(2);
  });

  it('carries the answer that the guest has not read yet, and leaves it here too', () => {
    const source = new PfRig();
    const target = new PfRig();
    const from = source.admitted(0);
    from.post(MESSAGE.getLinkState, 0);
    source.service.service();
    const policy = exportVfPolicy(source.driver, 0, windowOf(from));
    expect(policy.mailbox).toEqual({ messageWaits: true, acknowledged: true, guestOwnsBuffer: false });
    const to = target.vf(0);
    importVfPolicy(target.driver, 0, policy, windowOf(to));
    expect(to.bar.read32(0, at.VF.MAILBOX) & VFMAILBOX.PFSTS).not.toBe(0);
    expect(from.take()?.[1]).toBe(1);
  });

  it('carries a buffer that the guest has taken', () => {
    const source = new PfRig();
    const target = new PfRig();
    const from = source.admitted(0);
    from.bar.write32(0, at.VF.MAILBOX, VFMAILBOX.VFU);
    const policy = exportVfPolicy(source.driver, 0, windowOf(from));
    const to = target.vf(0);
    importVfPolicy(target.driver, 0, policy, windowOf(to));
    expect(to.bar.read32(0, at.VF.MAILBOX) & VFMAILBOX.VFU).not.toBe(0);
    expect(from.bar.read32(0, at.VF.MAILBOX) & VFMAILBOX.VFU).not.toBe(0);
  });

  it('gives nothing that the administrator here did not', () => {
    const source = new PfRig();
    source.driver.setTrust(0, true);
    const guest = source.admitted(0);
    guest.ask(MESSAGE.updateXcastMode, XCAST.promisc);
    const policy = exportVfPolicy(source.driver, 0, windowOf(guest));
    const attempt = (prepare: (rig: PfRig) => void) => () => {
      const target = new PfRig();
      prepare(target);
      importVfPolicy(target.driver, 0, policy, windowOf(target.vf(0)));
    };
    expect(attempt(() => {})).toThrow('not trusted');
    expect(attempt((rig) => rig.driver.setTrust(0, true))).not.toThrow();
    const trusted = (prepare: (rig: PfRig) => void) =>
      attempt((rig) => {
        rig.driver.setTrust(0, true);
        prepare(rig);
      });
    expect(trusted((rig) => rig.driver.assignMac(0, '52:54:00:00:00:99', true))).toThrow('fixed address');
    expect(trusted((rig) => rig.driver.assignMac(3, MAC, false))).toThrow('VF 3');
    expect(trusted((rig) => rig.driver.setLink(0, 'disable'))).toThrow('disabled');
  });

  it('is refused by a port of other traffic classes', () => {
    const source = new PfRig({ trafficClasses: 2 });
    const policy = exportVfPolicy(source.driver, 0, windowOf(source.admitted(0)));
    const onto = (trafficClasses: number) => () => {
      const target = new PfRig({ trafficClasses });
      importVfPolicy(target.driver, 0, policy, windowOf(target.vf(0)));
    };
    expect(onto(1)).toThrow('2 traffic classes, this one 1');
    expect(onto(2)).not.toThrow();
  });

  it('leaves a guest whose frames were refused without reception, and refuses to make a receiving one deaf', () => {
    const receives = (rig: PfRig) => (rig.pf(at.vfreOffset(0)) & 1) !== 0;
    const moved = (source: PfRig, guest: GuestMailbox, maxFrameBytes: number) => {
      const target = new PfRig({ maxFrameBytes });
      const policy = structuredClone(exportVfPolicy(source.driver, 0, windowOf(guest)));
      importVfPolicy(target.driver, 0, policy, windowOf(target.vf(0)));
      return receives(target);
    };
    const jumbo = new PfRig({ maxFrameBytes: 9018 });
    const guest = jumbo.admitted(0);
    for (const [bytes, on] of [
      [9700, false],
      [9018, true],
      [1518, true],
    ] as const) {
      guest.ask(MESSAGE.setMaxFrame, bytes);
      expect(receives(jumbo)).toBe(on);
      expect(moved(jumbo, guest, 9018)).toBe(on);
    }
    // a driver of before API 1.1, which a jumbo port does not let receive
    const standard = new PfRig();
    standard.driver.assignMac(0, MAC, false);
    const old = standard.vf(0);
    old.reset();
    old.ask(1);
    expect(receives(standard)).toBe(true);
    expect(moved(standard, old, 1518)).toBe(true);
    expect(() => moved(standard, old, 9018)).toThrow('too old for frames of 9018 bytes');
  });

  it('is refused when it is anything else', () => {
    const rig = new PfRig();
    const good = exportVfPolicy(rig.driver, 0, windowOf(rig.admitted(0)));
    expect(decodeVfPolicy(good)).toEqual(good);
    const damaged: Record<string, unknown>[] = [
      { version: 3 },
      { trafficClasses: 3 },
      { mac: '01:00:5e:00:00:01' },
      { mac: 7 },
      { apiVersion: 1 },
      { clearToSend: 1 },
      { vlans: [4096] },
      { vlans: new Array(65).fill(1) },
      { multicastHashes: new Array(31).fill(1) },
      { macvlans: ['00:00:00:00:00:00'] },
      { maxFrameBytes: 1e6 },
      { frameRefused: 0 },
      { mailbox: null },
    ];
    for (const change of damaged) expect(() => decodeVfPolicy({ ...good, ...change })).toThrow(VfPolicyError);
    fc.assert(
      fc.property(fc.anything(), (value) => {
        expect(() => decodeVfPolicy(value)).toThrow(VfPolicyError);
      }),
      { numRuns: 200 },
    );
  });
});
