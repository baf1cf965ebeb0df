/**
 * What an administrator changes about one VF at run time: `ip link set <pf> vf <n> ...` as the PF driver carries it out. All
 * values are checked before the first is applied.
 *
 *   mac                         the VF's driver is told that it has to reset its VF, and learns the address then
 *   vlan, spoofchk, max_tx_rate the card applies them at once
 *   state                       auto, enable, disable: link policy; the others are asked of the VF's driver (vf-state.ts)
 */
import { guestChannel } from './guest-channel.js';
import { parseMac, ZERO_MAC } from './mac.js';
import type { Nic } from './nic.js';
import type { LinkPolicy } from './vf-record.js';
import { requestVfState, VF_STATE, type VfState } from './vf-state.js';

export const LINK_POLICIES: readonly LinkPolicy[] = ['auto', 'enable', 'disable'];
export const VF_STATES = Object.keys(VF_STATE) as readonly VfState[];
const MAX_VLAN = 4094;
const MAX_PRIORITY = 7;

export interface VfChange {
  /** All zero: the guest may choose its own again. */
  readonly mac?: string;
  /** 0: none. */
  readonly vlan?: number;
  /** The VLAN tag's priority. */
  readonly qos?: number;
  readonly spoofCheck?: boolean;
  readonly trust?: boolean;
  /** Mb/s; 0: unlimited. */
  readonly maxTxRate?: number;
  readonly state?: LinkPolicy | VfState;
}

/** A change that no VF, or not this one, can have. */
export class VfChangeError extends Error {
  override readonly name = 'VfChangeError';
}

const inRange = (value: number | undefined, max: number): boolean =>
  value === undefined || (Number.isInteger(value) && value >= 0 && value <= max);

function check(nic: Nic, vf: number, change: VfChange): void {
  const { driver } = nic;
  const record = driver.vf(vf);
  if (!inRange(change.vlan, MAX_VLAN))
    throw new VfChangeError(`VLAN ${change.vlan}: a VLAN is 1 to ${MAX_VLAN}, or 0 for none`);
  if (!inRange(change.qos, MAX_PRIORITY))
    throw new VfChangeError(`qos ${change.qos}: a priority is 0 to ${MAX_PRIORITY}`);
  if (change.qos !== undefined && (change.vlan ?? record.portVlan) === 0)
    throw new VfChangeError('qos is the priority of a VLAN tag: it takes a VLAN');
  if (!inRange(change.maxTxRate, driver.linkSpeedMbps)) {
    throw new VfChangeError(
      `max_tx_rate ${change.maxTxRate}: 0 (no limit) to ${driver.linkSpeedMbps} Mb/s can be had`,
    );
  }
  if (change.mac === undefined || change.mac === ZERO_MAC) return;
  const mac = parseMac(change.mac);
  const other = driver.vfs.find((each) => each !== record && each.mac === mac);
  if (other !== undefined)
    throw new VfChangeError(`VF ${other.vf} of this card has the address ${mac} already`);
}

/** Resolves when it is so: for states that the VF's driver has to reach, when it has answered. */
export async function changeVf(nic: Nic, vf: number, change: VfChange): Promise<void> {
  check(nic, vf, change);
  const { driver } = nic;
  const record = driver.vf(vf);
  const { mac, vlan, qos, spoofCheck, trust, maxTxRate, state } = change;
  if (mac === ZERO_MAC) record.macFixed = false;
  else if (mac !== undefined) {
    driver.assignMac(vf, mac, true);
    nic.demandVfReset(vf);
  }
  if (vlan !== undefined || qos !== undefined) {
    driver.setPortVlan(vf, vlan ?? record.portVlan, qos ?? 0);
  }
  if (spoofCheck !== undefined) driver.setSpoofCheck(vf, spoofCheck);
  if (trust !== undefined) driver.setTrust(vf, trust);
  if (maxTxRate !== undefined) driver.setMaxTxRate(vf, maxTxRate);
  if (state === undefined) return;
  if (isLinkPolicy(state)) nic.setVfLink(vf, state);
  else await requestVfState(guestChannel(nic, vf), state);
}

const isLinkPolicy = (state: LinkPolicy | VfState): state is LinkPolicy =>
  (LINK_POLICIES as readonly string[]).includes(state);
