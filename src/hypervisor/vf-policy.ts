/**
 * What the PF driver knows of a VF on its guest's behalf, as data that moves with the guest: named fields under a version.
 *
 * It comes from a stream that is not trusted, and must give a guest nothing that this host's administrator did not: trust,
 * spoof checking, port VLAN, link policy and rate limit are this host's and stay. An address that the source had fixed is
 * fixed here too. What does not fit the policy here is refused before anything is changed.
 */

import { PFMAILBOX, VFMAILBOX } from '../hardware/nic/mailbox.js';
import { MAILBOX_WORDS, pfMailboxOffset } from '../hardware/nic/offsets.js';
import { isStationMac, ZERO_MAC } from './mac.js';
import type { PfDriver } from './pf-driver.js';
import { isVendorType, VENDOR_FIRST, VENDOR_LAST } from './vendor-requests.js';
import {
  API,
  API_SPOKEN,
  LONGEST_FRAME_BYTES,
  MAX_MULTICAST_HASHES,
  type VfRecord,
  XCAST,
} from './vf-record.js';

export const VF_POLICY_VERSION = 4;

export type VfPolicy = {
  version: number;
  mac: string;
  macFixed: boolean;
  clearToSend: boolean;
  apiVersion: number;
  xcastMode: number;
  maxFrameBytes: number;
  /** The source's PF refused what its driver asked for: it receives nothing, here as there. */
  frameRefused: boolean;
  /** Of the port: the driver has a receive queue for each. */
  trafficClasses: number;
  vlans: number[];
  multicastHashes: number[];
  macvlans: string[];
  /** What the driver last said of each vendor type: 16 words each, the first with the type. */
  vendorMessages: number[][];
  /** The mailbox's flags as the guest would read them, and who owns the buffer. */
  mailbox: { messageWaits: boolean; acknowledged: boolean; guestOwnsBuffer: boolean };
};

/** A policy that is not one, or that this host does not grant. */
export class VfPolicyError extends Error {
  constructor(what: string) {
    super(`the policy of the VF cannot be taken over: ${what}`);
    this.name = 'VfPolicyError';
  }
}

/** VFMAILBOX, through the guest's window: a read clears flags. */
export interface MailboxWindow {
  read(): number;
  write(value: number): void;
}

/** Table sizes of the card bound what a guest can have. */
const MAX_VLANS = 64;
const MAX_MACVLANS = 127;
const MAX_TRAFFIC_CLASSES = 2;
const MAX_VENDOR_MESSAGES = VENDOR_LAST - VENDOR_FIRST + 1;

/** The vCPU must stand still, and the mailbox have been served. */
export function exportVfPolicy(driver: PfDriver, vf: number, window: MailboxWindow): VfPolicy {
  const record = driver.vf(vf);
  const ownedByGuest = (driver.bar.read32(0, pfMailboxOffset(vf)) & PFMAILBOX.VFU) !== 0;
  const flags = window.read();
  const mailbox = {
    messageWaits: (flags & VFMAILBOX.PFSTS) !== 0,
    acknowledged: (flags & VFMAILBOX.PFACK) !== 0,
    guestOwnsBuffer: ownedByGuest,
  };
  // the read has cleared them: the guest may go on here after all
  restoreFlags(driver, vf, mailbox);
  return {
    version: VF_POLICY_VERSION,
    mac: record.mac,
    macFixed: record.macFixed,
    clearToSend: record.clearToSend,
    apiVersion: record.apiVersion,
    xcastMode: record.xcastMode,
    maxFrameBytes: record.maxFrameBytes,
    frameRefused: record.frameRefused,
    trafficClasses: driver.trafficClasses,
    vlans: [...record.vlans].sort((a, b) => a - b),
    multicastHashes: [...record.multicastHashes],
    macvlans: [...record.macvlans],
    vendorMessages: [...record.vendorMessages.values()].map((words) => [...words]),
    mailbox,
  };
}

/** @throws VfPolicyError before anything was changed */
export function importVfPolicy(driver: PfDriver, vf: number, value: unknown, window: MailboxWindow): void {
  const record = driver.vf(vf);
  const policy = decodeVfPolicy(value);
  checkGranted(driver, record, policy);
  driver.applyReset(record);
  driver.setMac(record, policy.mac);
  record.macFixed ||= policy.macFixed;
  record.apiVersion = policy.apiVersion;
  for (const vid of policy.vlans) if (!record.vlans.has(vid)) driver.setVlan(record, vid, true);
  driver.setMulticast(record, policy.multicastHashes);
  for (const mac of policy.macvlans) driver.addMacvlan(record, mac);
  driver.setXcastMode(record, policy.xcastMode);
  for (const words of policy.vendorMessages) record.vendorMessages.set(words[0]! & 0xffff, words);
  if (policy.clearToSend) {
    driver.admit(record);
    record.maxFrameBytes = policy.maxFrameBytes;
    record.frameRefused = policy.frameRefused;
    driver.setDma(record, true);
  }
  // flags of this card's own past
  window.read();
  if (policy.mailbox.guestOwnsBuffer) window.write(VFMAILBOX.VFU);
  restoreFlags(driver, vf, policy.mailbox);
}

function restoreFlags(driver: PfDriver, vf: number, mailbox: VfPolicy['mailbox']): void {
  const flags = (mailbox.messageWaits ? PFMAILBOX.STS : 0) | (mailbox.acknowledged ? PFMAILBOX.ACK : 0);
  if (flags !== 0) driver.bar.write32(0, pfMailboxOffset(vf), flags);
}

function checkGranted(driver: PfDriver, record: VfRecord, policy: VfPolicy): void {
  if (record.macFixed && record.mac !== policy.mac) {
    throw new VfPolicyError(
      `VF ${record.vf} has the fixed address ${record.mac} here, the guest has ${policy.mac}`,
    );
  }
  const other = driver.vfs.find(
    (each) => each !== record && each.mac === policy.mac && policy.mac !== ZERO_MAC,
  );
  if (other !== undefined)
    throw new VfPolicyError(`VF ${other.vf} of this card has the address ${policy.mac} already`);
  if (policy.xcastMode > XCAST.multi && !record.trusted) {
    throw new VfPolicyError(
      `the guest receives frames of others, and VF ${record.vf} is not trusted here: set it trusted`,
    );
  }
  if (policy.maxFrameBytes > driver.maxFrameBytes) {
    throw new VfPolicyError(
      `the guest's frames have ${policy.maxFrameBytes} bytes, this port's at most ${driver.maxFrameBytes}`,
    );
  }
  if (policy.clearToSend && !policy.frameRefused && !driver.receivesWith(policy.apiVersion)) {
    throw new VfPolicyError(
      `the guest's driver is too old for frames of ${driver.maxFrameBytes} bytes: give this port the source's --mtu`,
    );
  }
  if (policy.trafficClasses !== driver.trafficClasses) {
    throw new VfPolicyError(
      `the guest's port has ${policy.trafficClasses} traffic classes, this one ${driver.trafficClasses}: give both the same --tcs`,
    );
  }
  if (record.portVlan !== 0 && policy.vlans.some((vid) => vid !== record.portVlan && vid !== 0)) {
    throw new VfPolicyError(
      `the guest has VLANs of its own, and VF ${record.vf} is bound to VLAN ${record.portVlan} here`,
    );
  }
  if (policy.clearToSend && record.link === 'disable') {
    throw new VfPolicyError(`the link of VF ${record.vf} is disabled here`);
  }
}

/** @throws VfPolicyError */
export function decodeVfPolicy(value: unknown): VfPolicy {
  const fields = recordOf(value, 'the policy');
  const version = integer(fields, 'version', 0xffff);
  if (version !== VF_POLICY_VERSION) {
    throw new VfPolicyError(`it is of version ${version}, this host reads version ${VF_POLICY_VERSION}`);
  }
  const apiVersion = integer(fields, 'apiVersion', API.v14);
  if (!API_SPOKEN.includes(apiVersion))
    throw new VfPolicyError(`apiVersion ${apiVersion} is not spoken here`);
  const mailbox = recordOf(fields['mailbox'], 'mailbox');
  return {
    version,
    mac: address(fields['mac'], 'mac', true),
    macFixed: flag(fields, 'macFixed'),
    clearToSend: flag(fields, 'clearToSend'),
    apiVersion,
    xcastMode: integer(fields, 'xcastMode', XCAST.promisc),
    maxFrameBytes: integer(fields, 'maxFrameBytes', LONGEST_FRAME_BYTES),
    frameRefused: flag(fields, 'frameRefused'),
    trafficClasses: integer(fields, 'trafficClasses', MAX_TRAFFIC_CLASSES),
    vlans: list(fields, 'vlans', MAX_VLANS).map((vid) => integer({ vid }, 'vid', 0xfff)),
    multicastHashes: list(fields, 'multicastHashes', MAX_MULTICAST_HASHES).map((hash) =>
      integer({ hash }, 'hash', 0xfff),
    ),
    macvlans: list(fields, 'macvlans', MAX_MACVLANS).map((mac) => address(mac, 'macvlans', false)),
    vendorMessages: list(fields, 'vendorMessages', MAX_VENDOR_MESSAGES).map(vendorMessage),
    mailbox: {
      messageWaits: flag(mailbox, 'messageWaits'),
      acknowledged: flag(mailbox, 'acknowledged'),
      guestOwnsBuffer: flag(mailbox, 'guestOwnsBuffer'),
    },
  };
}

function vendorMessage(value: unknown): number[] {
  if (!Array.isArray(value) || value.length !== MAILBOX_WORDS) {
    throw new VfPolicyError(`a vendor message is not ${MAILBOX_WORDS} words`);
  }
  const words = value.map((word) => integer({ word }, 'word', 0xffff_ffff));
  if (!isVendorType(words[0]!)) throw new VfPolicyError('a vendor message is of no vendor type');
  return words;
}

function recordOf(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new VfPolicyError(`${what} is not a record`);
  }
  return value as Record<string, unknown>;
}

function integer(fields: Record<string, unknown>, name: string, max: number): number {
  const value = fields[name];
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > max) {
    throw new VfPolicyError(`${name} is not a whole number from 0 to ${max}`);
  }
  return value;
}

function flag(fields: Record<string, unknown>, name: string): boolean {
  const value = fields[name];
  if (typeof value !== 'boolean') throw new VfPolicyError(`${name} is neither true nor false`);
  return value;
}

function list(fields: Record<string, unknown>, name: string, max: number): unknown[] {
  const value = fields[name];
  if (!Array.isArray(value) || value.length > max) {
    throw new VfPolicyError(`${name} is not a list of at most ${max}`);
  }
  return value;
}

function address(value: unknown, name: string, zeroAllowed: boolean): string {
  const isAddress = typeof value === 'string' && /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(value);
  if (!isAddress || !(isStationMac(value) || (zeroAllowed && value === ZERO_MAC))) {
    throw new VfPolicyError(`${name} is not a station's MAC address`);
  }
  return value;
}
