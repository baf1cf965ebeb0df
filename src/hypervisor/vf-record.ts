/**
 * What the PF driver knows of one VF: what the administrator decided, and what the guest asked for over the mailbox.
 */
import { ZERO_MAC } from './mac.js';

export type LinkPolicy = 'auto' | 'enable' | 'disable';

/** UPDATE_XCAST_MODE's values: what a VF receives beyond its own addresses. */
export const XCAST = { none: 0, multi: 1, allmulti: 2, promisc: 3 } as const;
/** API_NEGOTIATE's values of the versions that this PF speaks. */
export const API = { v10: 0, v11: 2, v12: 3, v13: 4, v14: 5 } as const;
export const API_SPOKEN: readonly number[] = Object.values(API);

export const STANDARD_FRAME_BYTES = 1518;
/** Longest frame of the card, with CRC. */
export const LONGEST_FRAME_BYTES = 9728;
/** Multicast hashes that one SET_MULTICAST message has room for. */
export const MAX_MULTICAST_HASHES = 30;

export interface VfRecord {
  readonly vf: number;
  // --- the administrator's ---
  mac: string;
  /** The administrator chose the address: an untrusted guest may not change it. */
  macFixed: boolean;
  trusted: boolean;
  spoofCheck: boolean;
  /** A guest may read the port's RSS key and table. */
  rssQuery: boolean;
  /** 0 = none. */
  portVlan: number;
  portPriority: number;
  link: LinkPolicy;
  /** 0 = unlimited. */
  maxTxRateMbps: number;
  // --- the guest's ---
  clearToSend: boolean;
  apiVersion: number;
  xcastMode: number;
  readonly vlans: Set<number>;
  multicastHashes: readonly number[];
  macvlans: readonly string[];
  maxFrameBytes: number;
  /** By type: the last message outside the card's own protocol that its driver sent since its reset (16 words). */
  readonly vendorMessages: Map<number, readonly number[]>;
  /** Its frames are longer than the port's, or its driver is too old for a jumbo port: VFRE stays off. */
  frameRefused: boolean;
}

export function newVfRecord(vf: number): VfRecord {
  return {
    vf,
    mac: ZERO_MAC,
    macFixed: false,
    trusted: false,
    spoofCheck: true,
    rssQuery: false,
    portVlan: 0,
    portPriority: 0,
    link: 'auto',
    maxTxRateMbps: 0,
    clearToSend: false,
    apiVersion: API.v10,
    xcastMode: XCAST.multi,
    vlans: new Set(),
    multicastHashes: [],
    macvlans: [],
    maxFrameBytes: STANDARD_FRAME_BYTES,
    vendorMessages: new Map(),
    frameRefused: false,
  };
}
