/** The PF's answers to a VF's messages, and what they do to the card's registers. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PFMAILBOX, VFMAILBOX } from '../../src/hardware/nic/mailbox.js';
import * as at from '../../src/hardware/nic/offsets.js';
import { macHigh, macLow } from '../../src/hypervisor/mac.js';
import { CLEAR_TO_SEND, FAILURE, MESSAGE, SUCCESS } from '../../src/hypervisor/mailbox-service.js';
import { XCAST } from '../../src/hypervisor/vf-record.js';
import { MAC, PF_MAC, PfRig } from './pf-rig.js';

const GRANTED = (SUCCESS | CLEAR_TO_SEND) >>> 0;
const REFUSED = (FAILURE | CLEAR_TO_SEND) >>> 0;
const poolSet = (rig: PfRig, offset: (half: number) => number, vf: number): boolean =>
  ((rig.pf(offset(vf >> 5)) >>> (vf & 31)) & 1) !== 0;

/** MACs that the address table gives a pool. */
function addressesOf(rig: PfRig, pool: number): string[] {
  const macs: string[] = [];
  for (let i = 0; i < at.RAR_COUNT; i++) {
    const high = rig.pf(at.rahOffset(i));
    const pools = rig.pf(pool < 32 ? at.mpsarLoOffset(i) : at.mpsarHiOffset(i));
    if ((high & at.RAH_VALID) === 0 || ((pools >>> (pool & 31)) & 1) === 0) continue;
    const low = rig.pf(at.ralOffset(i));
    const octets = [low, low >>> 8, low >>> 16, low >>> 24, high, high >>> 8].map((octet) => octet & 0xff);
    macs.push(octets.map((octet) => octet.toString(16).padStart(2, '0')).join(':'));
  }
  return macs.sort();
}

function vlansOf(rig: PfRig, pool: number): number[] {
  const vids: number[] = [];
  for (let i = 0; i < at.VLVF_COUNT; i++) {
    const entry = rig.pf(at.vlvfOffset(i));
    if ((entry & at.VLVF_VALID) === 0) continue;
    if (((rig.pf(at.vlvfbOffset(i, pool >> 5)) >>> (pool & 31)) & 1) !== 0) vids.push(entry & 0xfff);
  }
  return vids.sort((a, b) => a - b);
}

describe('the RESET message', () => {
  it('is answered with the address, without CTS, and opens the queues', () => {
    const rig = new PfRig();
    rig.driver.assignMac(3, MAC, true);
    const guest = rig.vf(3);
    guest.reset();
    expect(poolSet(rig, at.vfreOffset, 3)).toBe(false);
    const reply = guest.ask(MESSAGE.reset);
    expect(reply.slice(0, 4)).toEqual([(SUCCESS | 1) >>> 0, macLow(MAC), macHigh(MAC), 0]);
    expect(poolSet(rig, at.vfreOffset, 3)).toBe(true);
    expect(poolSet(rig, at.vfteOffset, 3)).toBe(true);
    expect(poolSet(rig, at.vfreOffset, 2)).toBe(false);
  });

  it('is refused an address when there is none, which the stock driver takes', () => {
    const rig = new PfRig();
    const guest = rig.vf(0);
    guest.reset();
    expect(guest.ask(MESSAGE.reset)[0]).toBe((FAILURE | 1) >>> 0);
  });

  it('forgets what the guest had asked for', () => {
    const rig = new PfRig();
    const guest = rig.admitted(1);
    guest.ask(MESSAGE.setVlan | (1 << 16), 42);
    guest.ask(MESSAGE.setMulticast | (1 << 16), 0x123);
    guest.ask(MESSAGE.setMacvlan | (1 << 16), macLow('52:54:00:00:0a:0a'), macHigh('52:54:00:00:0a:0a'));
    expect(vlansOf(rig, 1)).toEqual([0, 42]);
    expect(rig.pf(at.mtaOffset(0x123 >> 5))).not.toBe(0);
    guest.reset();
    guest.ask(MESSAGE.reset);
    expect(vlansOf(rig, 1)).toEqual([0]);
    expect(rig.pf(at.mtaOffset(0x123 >> 5))).toBe(0);
    expect(addressesOf(rig, 1)).toEqual([MAC]);
    expect(rig.driver.vf(1).apiVersion).toBe(0);
  });

  it('zeroes the head write-back address and drops frames that find no buffer', () => {
    const rig = new PfRig();
    const guest = rig.admitted(2);
    const word = at.txQueueOffset(at.queueOf(2, 1)) + at.TX.TDWBAL;
    guest.bar.write32(0, at.VF.TX + 0x40 + at.TX.TDWBAL, 0x1001);
    expect(rig.pf(word)).toBe(0x1001);
    guest.reset();
    expect(rig.pf(word)).toBe(0x1001);
    guest.ask(MESSAGE.reset);
    expect(rig.pf(word)).toBe(0);
  });
});

describe('before RESET', () => {
  it('everything else is refused without CTS', () => {
    const rig = new PfRig();
    const guest = rig.vf(0);
    guest.reset();
    expect(guest.ask(MESSAGE.negotiateApi, 5)[0]).toBe((FAILURE | MESSAGE.negotiateApi) >>> 0);
  });

  it('an acknowledgement is answered with a bare refusal; afterwards with nothing', () => {
    const rig = new PfRig();
    const guest = rig.vf(0);
    guest.reset();
    guest.bar.write32(0, at.VF.MAILBOX, VFMAILBOX.VFU);
    guest.bar.write32(0, at.VF.MAILBOX, VFMAILBOX.ACK);
    rig.service.service();
    expect(guest.take()?.[0]).toBe(FAILURE);
    const admitted = rig.admitted(1);
    admitted.bar.write32(0, at.VF.MAILBOX, VFMAILBOX.VFU);
    admitted.bar.write32(0, at.VF.MAILBOX, VFMAILBOX.ACK);
    rig.service.service();
    expect(admitted.take()).toBeNull();
  });
});

describe('messages of an admitted VF', () => {
  it('negotiate the version: up to 1.4', () => {
    const guest = new PfRig().admitted(0);
    for (const version of [8, 7, 6, 1])
      expect(guest.ask(MESSAGE.negotiateApi, version)[0]).toBe((REFUSED | 8) >>> 0);
    for (const version of [5, 4, 3, 2, 0])
      expect(guest.ask(MESSAGE.negotiateApi, version)[0]).toBe((GRANTED | 8) >>> 0);
  });

  it('tell the queues from version 1.1 on', () => {
    const guest = new PfRig().admitted(0);
    expect(guest.ask(MESSAGE.getQueues, 0, 0, 0, 0).slice(0, 5)).toEqual([(GRANTED | 9) >>> 0, 2, 2, 0, 0]);
    guest.ask(MESSAGE.negotiateApi, 0);
    expect(guest.ask(MESSAGE.getQueues)[0]).toBe((REFUSED | 9) >>> 0);
  });

  it('change the address unless the administrator fixed it', () => {
    const rig = new PfRig();
    const guest = rig.admitted(4);
    const other = '52:54:00:00:00:77';
    const ask = (mac: string) => guest.ask(MESSAGE.setMac, macLow(mac), macHigh(mac))[0];
    expect(ask(other)).toBe((GRANTED | 2) >>> 0);
    expect(addressesOf(rig, 4)).toEqual([other]);
    expect(ask('01:00:5e:00:00:01')).toBe((REFUSED | 2) >>> 0);
    expect(ask('00:00:00:00:00:00')).toBe((REFUSED | 2) >>> 0);
    rig.driver.assignMac(4, MAC, true);
    expect(ask(other)).toBe((REFUSED | 2) >>> 0);
    expect(ask(MAC)).toBe((GRANTED | 2) >>> 0);
    rig.driver.setTrust(4, true);
    expect(ask(other)).toBe((GRANTED | 2) >>> 0);
    expect(addressesOf(rig, 63)).toEqual([PF_MAC]);
  });

  it('keep VLANs, and share the card’s entries with other pools', () => {
    const rig = new PfRig();
    const one = rig.admitted(1);
    const two = rig.admitted(2, '52:54:00:00:00:02');
    expect(one.ask(MESSAGE.setVlan | (1 << 16), 100)[0]).toBe((GRANTED | 4 | (1 << 16)) >>> 0);
    two.ask(MESSAGE.setVlan | (1 << 16), 100);
    expect([vlansOf(rig, 1), vlansOf(rig, 2)]).toEqual([
      [0, 100],
      [0, 100],
    ]);
    one.ask(MESSAGE.setVlan, 100);
    expect([vlansOf(rig, 1), vlansOf(rig, 2)]).toEqual([[0], [0, 100]]);
    expect((rig.pf(at.vftaOffset(100 >> 5)) >>> (100 & 31)) & 1).toBe(1);
    two.ask(MESSAGE.setVlan, 100);
    expect(rig.pf(at.vftaOffset(100 >> 5))).toBe(0);
  });

  it('are refused VLANs under a port VLAN, but for the removal of VLAN 0', () => {
    const rig = new PfRig();
    rig.driver.setPortVlan(0, 7, 3);
    const guest = rig.admitted(0);
    expect(guest.ask(MESSAGE.setVlan | (1 << 16), 9)[0]).toBe((REFUSED | 4 | (1 << 16)) >>> 0);
    expect(guest.ask(MESSAGE.setVlan, 0)[0]).toBe((GRANTED | 4) >>> 0);
    expect(vlansOf(rig, 0)).toEqual([7]);
    expect(rig.pf(at.vmvirOffset(0)) >>> 0).toBe((at.VMVIR_ALWAYS | (3 << 13) | 7) >>> 0);
    expect(rig.pf(at.vmolrOffset(0)) & at.VMOLR_AUPE).toBe(0);
  });

  it('run out of VLAN entries with a refusal', () => {
    const guest = new PfRig().admitted(0);
    const answers = Array.from({ length: 64 }, (_, i) => guest.ask(MESSAGE.setVlan | (1 << 16), 10 + i)[0]!);
    expect(answers.filter((answer) => (answer & SUCCESS) !== 0)).toHaveLength(63);
    expect((answers[63]! & FAILURE) !== 0).toBe(true);
  });

  it('fill the shared multicast table; a bit goes with the last that wants it', () => {
    const rig = new PfRig();
    const one = rig.admitted(1);
    const two = rig.admitted(2, '52:54:00:00:00:02');
    one.ask(MESSAGE.setMulticast | (3 << 16), 0x0111_0222, 0x0333);
    two.ask(MESSAGE.setMulticast | (1 << 16), 0x0222);
    const has = (hash: number) => ((rig.pf(at.mtaOffset(hash >> 5)) >>> (hash & 31)) & 1) !== 0;
    expect([0x111, 0x222, 0x333].map(has)).toEqual([true, true, true]);
    one.ask(MESSAGE.setMulticast);
    expect([0x111, 0x222, 0x333].map(has)).toEqual([false, true, false]);
  });

  it('list further addresses, replaced by the first of a new list', () => {
    const rig = new PfRig();
    const guest = rig.admitted(0);
    const ask = (index: number, mac: string) =>
      guest.ask(MESSAGE.setMacvlan | (index << 16), macLow(mac), macHigh(mac))[0]! & 0xe000_ffff;
    expect(ask(1, '52:54:00:00:01:01') >>> 0).toBe((GRANTED | 6) >>> 0);
    ask(2, '52:54:00:00:01:02');
    expect(addressesOf(rig, 0)).toEqual([MAC, '52:54:00:00:01:01', '52:54:00:00:01:02']);
    ask(1, '52:54:00:00:01:03');
    expect(addressesOf(rig, 0)).toEqual([MAC, '52:54:00:00:01:03']);
    ask(0, '00:00:00:00:00:00');
    expect(addressesOf(rig, 0)).toEqual([MAC]);
    expect(ask(1, '01:00:00:00:00:00') >>> 0).toBe((REFUSED | 6) >>> 0);
  });

  it('change what is received beyond its own, as far as trust goes', () => {
    const rig = new PfRig();
    const guest = rig.admitted(0);
    const ask = (mode: number) => guest.ask(MESSAGE.updateXcastMode, mode).slice(0, 2);
    const modes = () => rig.pf(at.vmolrOffset(0));
    expect(ask(XCAST.allmulti)).toEqual([(GRANTED | 12) >>> 0, XCAST.multi]);
    expect(modes() & at.VMOLR_MPE).toBe(0);
    rig.driver.setTrust(0, true);
    expect(ask(XCAST.promisc)).toEqual([(GRANTED | 12) >>> 0, XCAST.promisc]);
    expect(modes() & at.VMOLR_UPE).not.toBe(0);
    expect(rig.pf(at.FCTRL) & at.FCTRL_UPE).not.toBe(0);
    ask(XCAST.none);
    expect(modes() & (at.VMOLR_BAM | at.VMOLR_ROMPE | at.VMOLR_UPE)).toBe(0);
    ask(XCAST.promisc);
    rig.driver.setTrust(0, false);
    expect(modes() & at.VMOLR_UPE).toBe(0);
    expect(rig.pf(at.FCTRL) & at.FCTRL_UPE).toBe(0);
  });

  it('ask for longer frames: not on a standard port', () => {
    const rig = new PfRig();
    const guest = rig.admitted(0);
    expect(guest.ask(MESSAGE.setMaxFrame, 9018)[0]).toBe((REFUSED | 5) >>> 0);
    expect(poolSet(rig, at.vfreOffset, 0)).toBe(false);
    expect(guest.ask(MESSAGE.setMaxFrame, 1518)[0]).toBe((GRANTED | 5) >>> 0);
    expect(poolSet(rig, at.vfreOffset, 0)).toBe(true);
    const jumbo = new PfRig({ maxFrameBytes: 9728 });
    expect(jumbo.pf(at.MAXFRS) >>> 16).toBe(9728);
    const jumboGuest = jumbo.admitted(0);
    // as the stock PF driver has it: nothing is received before the guest has said what it can take
    expect(poolSet(jumbo, at.vfreOffset, 0)).toBe(false);
    expect(jumboGuest.ask(MESSAGE.setMaxFrame, 9018)[0]).toBe((GRANTED | 5) >>> 0);
    expect(poolSet(jumbo, at.vfreOffset, 0)).toBe(true);
  });

  it('ask for their queues: one for each traffic class of the port', () => {
    const one = new PfRig();
    expect(one.admitted(0).ask(MESSAGE.getQueues).slice(1, 5)).toEqual([2, 2, 0, 0]);
    const two = new PfRig({ trafficClasses: 2 });
    expect(two.pf(at.MRQC)).toBe(at.MRQC_VMDQ_CLASSES);
    expect(two.admitted(0).ask(MESSAGE.getQueues).slice(1, 5)).toEqual([2, 2, 2, 0]);
  });

  it('ask for RSS key and table: only where that is allowed', () => {
    const rig = new PfRig();
    const guest = rig.admitted(0);
    expect(guest.ask(MESSAGE.getReta)[0]).toBe((REFUSED | 10) >>> 0);
    rig.driver.vf(0).rssQuery = true;
    expect(guest.ask(MESSAGE.getReta).slice(1, 9)).toEqual(new Array(8).fill(0x4444_4444));
    expect(guest.ask(MESSAGE.getRssKey)[1]).toBe(rig.pf(at.rssKeyOffset(0)));
  });

  it('see a disabled link, and may set themselves up for when it is enabled', () => {
    const rig = new PfRig();
    const guest = rig.admitted(0);
    expect(guest.ask(MESSAGE.getLinkState, 0)[1]).toBe(1);
    rig.driver.setLink(0, 'disable');
    rig.service.ping(0);
    expect(guest.take()?.[0]).toBe(MESSAGE.control);
    expect(poolSet(rig, at.vfteOffset, 0)).toBe(false);
    guest.reset();
    guest.ask(MESSAGE.reset);
    expect(guest.ask(MESSAGE.setMaxFrame, 1518)[0]).toBe((GRANTED | 5) >>> 0);
    expect(guest.ask(MESSAGE.getLinkState, 0)[1]).toBe(0);
    expect(poolSet(rig, at.vfteOffset, 0)).toBe(false);
    expect(poolSet(rig, at.vfreOffset, 0)).toBe(false);
    rig.driver.setLink(0, 'auto');
    guest.reset();
    guest.ask(MESSAGE.reset);
    expect(guest.ask(MESSAGE.getLinkState, 0)[1]).toBe(1);
    expect(poolSet(rig, at.vfteOffset, 0)).toBe(true);
  });

  it('are left alone when they are answers, and refused when they are unknown', () => {
    const guest = new PfRig().admitted(0);
    expect(() => guest.ask((SUCCESS | 2) >>> 0)).toThrow('no reply');
    expect(guest.ask(0x77)[0]).toBe((REFUSED | 0x77) >>> 0);
  });
});

describe('a guest that misbehaves', () => {
  it('asks again the moment its last words are acknowledged: that is heard too', () => {
    const rig = new PfRig();
    const guest = rig.admitted(1);
    const write = rig.bar.write32.bind(rig.bar);
    let again = 1;
    rig.bar.write32 = (bar, offset, value) => {
      write(bar, offset, value);
      if (offset === at.pfMailboxOffset(1) && value === PFMAILBOX.ACK && again-- > 0)
        guest.post(MESSAGE.getLinkState);
    };
    // no answer follows an answer
    guest.post((MESSAGE.setMac | SUCCESS) >>> 0);
    rig.service.service();
    rig.service.service();
    expect(guest.take()?.[0]).toBe((MESSAGE.getLinkState | GRANTED) >>> 0);
  });

  it('keeps the buffer: its request is dropped in the end, and another VF is served', () => {
    const rig = new PfRig();
    const stuck = rig.admitted(0);
    const good = rig.admitted(1, '52:54:00:00:00:02');
    stuck.post(MESSAGE.getLinkState, 0);
    stuck.bar.write32(0, at.VF.MAILBOX, VFMAILBOX.VFU);
    expect(rig.service.service()).toBe(true);
    expect(good.ask(MESSAGE.getLinkState, 0)[1]).toBe(1);
    let services = 0;
    while (rig.service.service()) expect(services++).toBeLessThan(1000);
  });

  it('sends anything: always an answer, and nothing of other VFs changes', () => {
    const word = fc.nat(0xffff_ffff);
    fc.assert(
      fc.property(fc.array(fc.array(word, { minLength: 1, maxLength: 16 }), { maxLength: 30 }), (sent) => {
        const rig = new PfRig();
        const guest = rig.admitted(0);
        rig.admitted(1, '52:54:00:00:00:02');
        const others = () => [
          addressesOf(rig, 1),
          vlansOf(rig, 1),
          rig.pf(at.vmolrOffset(1)),
          rig.pf(at.vfreOffset(0)) & ~1,
          addressesOf(rig, 63),
        ];
        const before = others();
        for (const words of sent) {
          const head = (words[0]! & 0x1fff_00ff) >>> 0;
          guest.post(head, ...words.slice(1));
          rig.service.service();
          guest.take();
          rig.service.service();
        }
        expect(others()).toEqual(before);
      }),
      { numRuns: 60 },
    );
  });
});

describe('the control message', () => {
  it('carries CTS for a VF that may talk', () => {
    const rig = new PfRig();
    const guest = rig.admitted(0);
    rig.service.pingAll();
    expect(guest.take()?.[0]).toBe((MESSAGE.control | CLEAR_TO_SEND) >>> 0);
  });

  it('waits for a buffer that is taken', () => {
    const rig = new PfRig();
    const guest = rig.admitted(0);
    guest.bar.write32(0, at.VF.MAILBOX, VFMAILBOX.VFU);
    rig.service.ping(0);
    guest.bar.write32(0, at.VF.MAILBOX, 0);
    expect(guest.take()).toBeNull();
    expect(rig.service.service()).toBe(false);
    expect(guest.take()?.[0]).toBe((MESSAGE.control | CLEAR_TO_SEND) >>> 0);
  });
});
