/** What an administrator changes about a VF: checked as a whole, then on the card, and its driver told. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import * as at from '../../src/hardware/nic/offsets.js';
import { changeVf } from '../../src/hypervisor/vf-change.js';
import { VfStateError } from '../../src/hypervisor/vf-state.js';
import { type Cabled, cabledNic } from './lab.js';

const MAC = '52:54:00:00:00:01';
const OTHER = '52:54:00:00:00:02';

let cabled: Cabled;
beforeEach(async () => {
  cabled = await cabledNic();
});
afterEach(() => cabled.close());

describe('a change', () => {
  it('of everything at once is on the card', async () => {
    const { nic } = cabled;
    const vf = nic.allocateVf({});
    const register = (offset: number): number => nic.driver.bar.read32(0, offset);
    await changeVf(nic, vf, { mac: MAC, vlan: 42, qos: 3, spoofCheck: false, trust: true, maxTxRate: 100 });
    expect(nic.driver.vf(vf)).toMatchObject({ mac: MAC, macFixed: true, trusted: true, clearToSend: false });
    expect(register(at.vmvirOffset(vf)) & 0xffff).toBe(42 | (3 << 13));
    expect(register(at.pfVfSpoofOffset(0)) & (0x101 << vf)).toBe(0);
    await changeVf(nic, vf, { vlan: 0, spoofCheck: true, mac: '00:00:00:00:00:00', state: 'disable' });
    expect(register(at.vmvirOffset(vf))).toBe(0);
    expect(register(at.pfVfSpoofOffset(0)) & (0x101 << vf)).toBe(0x101 << vf);
    expect(nic.driver.vf(vf)).toMatchObject({ mac: MAC, macFixed: false, link: 'disable' });
  });

  it('that cannot be is refused whole', async () => {
    const { nic } = cabled;
    const vf = nic.allocateVf({ mac: MAC });
    nic.allocateVf({ mac: OTHER });
    const before = JSON.stringify(nic.driver.vf(vf));
    for (const wrong of [
      { vlan: 4095 },
      { qos: 3 },
      { vlan: 3, qos: 8 },
      { maxTxRate: -1 },
      { mac: OTHER },
      { mac: 'x' },
    ])
      await expect(changeVf(nic, vf, { trust: true, ...wrong })).rejects.toThrow();
    expect(JSON.stringify(nic.driver.vf(vf))).toBe(before);
  });

  it('of a state that the driver has to reach fails where no driver helps', async () => {
    const vf = cabled.nic.allocateVf({ mac: MAC });
    await expect(changeVf(cabled.nic, vf, { state: 'suspend' })).rejects.toThrow(VfStateError);
  });
});
