/**
 * The PF driver: brings the card up for SR-IOV as the stock PF driver does, and holds every VF to its policy. It touches
 * the card through the PF's BAR and configuration space only.
 *
 *   bringUp:  reset -> 64 pools of 2 queues -> filters -> switch -> interrupts -> CTRL_EXT.PFRSTD (mailboxes open)
 *   a VF:     reset seen -> policy's defaults -> RESET message -> VFRE, VFTE -> messages (mailbox-service.ts)
 */
import * as at from '../hardware/nic/offsets.js';
import { PF_MSIX_BAR, type PfBar } from '../hardware/nic/pf-bar.js';
import { PF_POOL, QUEUES_PER_POOL } from '../hardware/nic/shared.js';
import type { ConfigSpace } from '../hardware/pci/config-space.js';
import { COMMAND_MASTER, COMMAND_MEMORY, MSIX_ENABLE, PCI } from '../hardware/pci/offsets.js';
import { parseMac, ZERO_MAC } from './mac.js';
import { FilterTableFullError, PfFilters } from './pf-filters.js';
import {
  API,
  type LinkPolicy,
  newVfRecord,
  STANDARD_FRAME_BYTES,
  type VfRecord,
  XCAST,
} from './vf-record.js';

export interface PfDriverOptions {
  readonly vfCount: number;
  readonly mac: string;
  /** Port's longest frame with CRC: above 1518 the port is a jumbo one and VFs may ask for more too. */
  readonly maxFrameBytes: number;
  /** What rate limits are fractions of. */
  readonly linkSpeedMbps: number;
  /** 1 by default. */
  readonly trafficClasses?: number;
  /** The message that the card's PF interrupt sends: data is of no meaning, the requester routes it. */
  readonly msiAddress: number;
}

/** A VF that this driver does not drive. */
export class UnknownVfError extends RangeError {
  constructor(vf: number, vfCount: number) {
    super(`no VF ${vf}: this card has VFs 0 to ${vfCount - 1}`);
    this.name = 'UnknownVfError';
  }
}

/** Hash over TCP and plain IP of both versions: the stock driver's choice; UDP fragments would be reordered. */
const MRQC_RSS_FIELDS = 0x0033_0000;
const MTQC_VT_64 = 0x6;
/** With traffic classes: 32 pools of 4 queues. */
const MTQC_VT_32_CLASSES = 0xb;
/** Priorities 4 to 7 are the second class. */
const SECOND_CLASS_PRIORITIES = 0x249 << 12;
const RSS_KEY = [
  0xda565a6d, 0xc20e5b25, 0x3d256741, 0xb08fa343, 0xcb2bcad0, 0xb4307bae, 0xa32dcb77, 0x0cf23080, 0x3bb7426a,
  0xfa01acbe,
];
const VLAN_MAX = 4094;

export class PfDriver {
  readonly vfs: readonly VfRecord[];
  readonly filters: PfFilters;
  readonly maxFrameBytes: number;
  /** Of the port: 1, or 2 with a receive queue of each VF for each. */
  readonly trafficClasses: number;
  readonly bar: PfBar;
  readonly #config: ConfigSpace;
  readonly #options: PfDriverOptions;

  constructor(bar: PfBar, config: ConfigSpace, options: PfDriverOptions) {
    this.bar = bar;
    this.#config = config;
    this.#options = options;
    this.maxFrameBytes = options.maxFrameBytes;
    this.trafficClasses = options.trafficClasses ?? 1;
    this.filters = new PfFilters(bar);
    this.vfs = Array.from({ length: options.vfCount }, (_, vf) => newVfRecord(vf));
  }

  vf(vf: number): VfRecord {
    const record = this.vfs[vf];
    if (record === undefined) throw new UnknownVfError(vf, this.vfs.length);
    return record;
  }

  bringUp(): void {
    this.#write(at.CTRL, at.CTRL_RST | at.CTRL_LRST);
    this.#config.write32(PCI.COMMAND, COMMAND_MEMORY | COMMAND_MASTER);
    this.#write(at.GCR_EXT, 3);
    this.#write(at.GPIE, at.GPIE_EIAME | (3 << 14));
    if (this.trafficClasses > 1) {
      this.#write(at.MTQC, MTQC_VT_32_CLASSES);
      this.#write(at.RTRUP2TC, SECOND_CLASS_PRIORITIES);
      this.#write(at.MRQC, at.MRQC_VMDQ_CLASSES);
    } else {
      this.#write(at.MTQC, MTQC_VT_64);
      this.#write(at.MRQC, at.MRQC_VMDQ_RSS_64 | MRQC_RSS_FIELDS);
    }
    for (let i = 0; i < 32; i++) this.#write(at.retaOffset(i), 0x0100_0100);
    RSS_KEY.forEach((word, i) => {
      this.#write(at.rssKeyOffset(i), word);
    });
    this.#write(at.MAXFRS, this.maxFrameBytes << 16);
    this.#bringUpSwitch();
    for (const record of this.vfs) this.applyReset(record);
    this.#bringUpInterrupts();
    this.#write(at.DMATXCTL, at.DMATXCTL_TE);
    this.#write(at.RXCTRL, 1);
    this.#write(at.CTRL_EXT, at.CTRL_EXT_PFRSTD);
  }

  #bringUpSwitch(): void {
    // no pool of the host's takes what nobody asked for: the host has no stack on this card
    this.#write(at.VT_CTL, 1 | (PF_POOL << 7) | at.VT_CTL_NO_DEFAULT_POOL | at.VT_CTL_REPLICATION);
    this.#write(at.FCTRL, at.FCTRL_BAM);
    this.#write(at.VLNCTRL, at.VLNCTRL_VFE);
    this.#write(at.PFDTXGSWC, at.PFDTXGSWC_LOOPBACK);
    this.#write(at.vfreOffset(0), 0);
    this.#write(at.vfreOffset(1), 0);
    this.#write(at.vfteOffset(0), 0);
    this.#write(at.vfteOffset(1), 1 << (PF_POOL & 31));
    this.filters.addAddress(this.#options.mac, PF_POOL);
  }

  #bringUpInterrupts(): void {
    this.bar.write32(PF_MSIX_BAR, 0, this.#options.msiAddress);
    this.bar.write32(PF_MSIX_BAR, 4, 0);
    this.bar.write32(PF_MSIX_BAR, 8, 0);
    this.bar.write32(PF_MSIX_BAR, 12, 0);
    this.#config.write32(PCI.MSIX, this.#config.read32(PCI.MSIX) | MSIX_ENABLE);
    this.#write(at.IVAR_MISC, 0x80 << 8);
    this.#write(at.EIMS, at.EICR_MAILBOX | at.EICR_LSC);
  }

  // --- a VF's life ----------------------------------------------------------------------------------------------------

  /** A VF was reset (VFCTRL.RST, FLR, or the first RESET message): what the guest had asked for is forgotten. */
  applyReset(record: VfRecord): void {
    const { vf } = record;
    record.clearToSend = false;
    record.apiVersion = API.v10;
    record.xcastMode = XCAST.multi;
    record.maxFrameBytes = STANDARD_FRAME_BYTES;
    record.frameRefused = false;
    record.vendorMessages.clear();
    this.#keepOnlyVlan(record, record.portVlan);
    this.setMulticast(record, []);
    this.clearMacvlans(record);
    this.#applyPortVlan(record);
    this.#applySpoofCheck(record);
    this.#applyRate(record);
    this.applyModes(record);
    if (record.mac !== ZERO_MAC) this.filters.addAddress(record.mac, vf);
    this.setDma(record, false);
  }

  /** The RESET message, after applyReset: queues may run. */
  admit(record: VfRecord): void {
    for (let q = 0; q < QUEUES_PER_POOL; q++) {
      const queue = at.queueOf(record.vf, q);
      // the head write-back address survives a VF's reset; a new driver must not inherit it
      this.#write(at.txQueueOffset(queue) + at.TX.TDWBAL, 0);
      this.#write(at.txQueueOffset(queue) + at.TX.TDWBAH, 0);
      // one VF without buffers must not block the port
      this.#write(at.QDE, 1 | (queue << 8) | (1 << 16));
    }
    record.frameRefused = !this.receivesWith(record.apiVersion);
    // with a disabled link too: the guest may set its VF up, and learns from GET_LINK_STATE that it must wait
    record.clearToSend = true;
    this.setDma(record, true);
  }

  /** Opens or closes VFRE and VFTE, as far as link policy and frame size let it. */
  setDma(record: VfRecord, on: boolean): void {
    const allowed = on && record.link !== 'disable';
    this.#setPoolBit(at.vfreOffset, record.vf, allowed && !record.frameRefused);
    this.#setPoolBit(at.vfteOffset, record.vf, allowed);
  }

  /**
   * For who restores a VF: its queues can send while `action` runs, though the guest is not admitted (it had reset its VF and
   * not asked yet) or its link is disabled.
   */
  async whileSending<T>(vf: number, action: () => Promise<T>): Promise<T> {
    const record = this.vf(vf);
    this.#setPoolBit(at.vfteOffset, vf, true);
    try {
      return await action();
    } finally {
      this.setDma(record, record.clearToSend);
    }
  }

  // --- what a guest asks for (the mailbox service has checked that it may) -------------------------------------------

  setMac(record: VfRecord, mac: string): void {
    if (mac === record.mac) {
      if (mac !== ZERO_MAC) this.filters.addAddress(mac, record.vf);
      return;
    }
    // the new one first: it may not fit, and then the old one stays
    if (mac !== ZERO_MAC) this.filters.addAddress(mac, record.vf);
    if (record.mac !== ZERO_MAC && !record.macvlans.includes(record.mac))
      this.filters.removeAddress(record.mac, record.vf);
    record.mac = mac;
  }

  setVlan(record: VfRecord, vid: number, on: boolean): void {
    this.filters.setVlan(vid, record.vf, on);
    if (on) record.vlans.add(vid);
    else record.vlans.delete(vid);
  }

  /** Its entry is never given up meanwhile: another guest may have taken all that are free. */
  #keepOnlyVlan(record: VfRecord, kept: number): void {
    if (!record.vlans.has(kept)) this.setVlan(record, kept, true);
    for (const vid of [...record.vlans]) if (vid !== kept) this.setVlan(record, vid, false);
  }

  setMulticast(record: VfRecord, hashes: readonly number[]): void {
    record.multicastHashes = hashes;
    this.filters.setMulticast(record.vf, hashes);
  }

  /** @throws FilterTableFullError while every VF can still have one address */
  addMacvlan(record: VfRecord, mac: string): void {
    const room = at.RAR_COUNT - 1 - this.vfs.length;
    const taken = this.vfs.reduce((sum, each) => sum + each.macvlans.length, 0);
    if (taken >= room) throw new FilterTableFullError('further addresses', room);
    this.filters.addAddress(mac, record.vf);
    record.macvlans = [...record.macvlans, mac];
  }

  clearMacvlans(record: VfRecord): void {
    for (const mac of record.macvlans) if (mac !== record.mac) this.filters.removeAddress(mac, record.vf);
    record.macvlans = [];
  }

  /** The card's length limit is the port's: a driver of before 1.1 has no room for a jumbo port's frames. */
  receivesWith(apiVersion: number): boolean {
    return this.maxFrameBytes <= STANDARD_FRAME_BYTES || apiVersion >= API.v11;
  }

  /** False: longer than this port's frames, or than the VF's API version can have. */
  setMaxFrame(record: VfRecord, bytes: number): boolean {
    const fits = bytes <= this.maxFrameBytes && this.receivesWith(record.apiVersion);
    record.frameRefused = !fits;
    if (fits) record.maxFrameBytes = bytes;
    this.setDma(record, record.clearToSend);
    return fits;
  }

  setXcastMode(record: VfRecord, mode: number): void {
    record.xcastMode = mode;
    this.applyModes(record);
  }

  /** VMOLR, and the port's own filter, which must let through what any VF wants. */
  applyModes(record: VfRecord): void {
    const mode = record.xcastMode;
    let modes = record.portVlan === 0 ? at.VMOLR_AUPE : 0;
    if (mode >= XCAST.multi) modes |= at.VMOLR_BAM | at.VMOLR_ROMPE;
    if (mode >= XCAST.allmulti) modes |= at.VMOLR_MPE;
    if (mode >= XCAST.promisc) modes |= at.VMOLR_UPE | at.VMOLR_VPE;
    this.#write(at.vmolrOffset(record.vf), modes);
    let port = at.FCTRL_BAM;
    if (this.vfs.some((each) => each.xcastMode >= XCAST.allmulti)) port |= at.FCTRL_MPE;
    if (this.vfs.some((each) => each.xcastMode >= XCAST.promisc)) port |= at.FCTRL_UPE;
    this.#write(at.FCTRL, port);
  }

  // --- what an administrator sets ------------------------------------------------------------------------------------

  /** Gives a VF its address; `fixed` keeps an untrusted guest from changing it. */
  assignMac(vf: number, mac: string, fixed: boolean): void {
    const record = this.vf(vf);
    this.setMac(record, parseMac(mac));
    record.macFixed = fixed;
  }

  setTrust(vf: number, trusted: boolean): void {
    const record = this.vf(vf);
    record.trusted = trusted;
    if (!trusted && record.xcastMode > XCAST.multi) this.setXcastMode(record, XCAST.multi);
  }

  setSpoofCheck(vf: number, on: boolean): void {
    const record = this.vf(vf);
    record.spoofCheck = on;
    this.#applySpoofCheck(record);
  }

  /** @param vid 0 = no port VLAN */
  setPortVlan(vf: number, vid: number, priority = 0): void {
    if (!(Number.isInteger(vid) && vid >= 0 && vid <= VLAN_MAX)) {
      throw new RangeError(`VLAN ${vid}: a VLAN is 1 to ${VLAN_MAX}, or 0 for none`);
    }
    if (!(Number.isInteger(priority) && priority >= 0 && priority <= 7)) {
      throw new RangeError(`VLAN priority ${priority}: it is 0 to 7`);
    }
    const record = this.vf(vf);
    this.#keepOnlyVlan(record, vid);
    record.portVlan = vid;
    record.portPriority = priority;
    this.#applyPortVlan(record);
    this.applyModes(record);
  }

  setLink(vf: number, link: LinkPolicy): void {
    const record = this.vf(vf);
    record.link = link;
    // the guest learns of it by the control message that the mailbox service sends, and then resets its VF
    record.clearToSend = false;
    this.setDma(record, false);
  }

  /** @param mbps 0 = unlimited */
  setMaxTxRate(vf: number, mbps: number): void {
    if (!(mbps >= 0 && mbps <= this.#options.linkSpeedMbps)) {
      throw new RangeError(
        `a rate limit of ${mbps} Mb/s: 0 (none) to ${this.#options.linkSpeedMbps} can be had`,
      );
    }
    const record = this.vf(vf);
    record.maxTxRateMbps = mbps;
    this.#applyRate(record);
  }

  /** Back to an unassigned VF. */
  forget(vf: number): void {
    const record = this.vf(vf);
    Object.assign(record, {
      ...newVfRecord(vf),
      vlans: record.vlans,
      macvlans: record.macvlans,
      mac: record.mac,
    });
    this.setMac(record, ZERO_MAC);
    this.applyReset(record);
  }

  /** What rate limits are fractions of. */
  get linkSpeedMbps(): number {
    return this.#options.linkSpeedMbps;
  }

  get linkUp(): boolean {
    return (this.bar.read32(0, at.LINKS) & at.LINKS_UP) !== 0;
  }

  #applyPortVlan(record: VfRecord): void {
    const tag = record.portVlan | (record.portPriority << 13);
    this.#write(at.vmvirOffset(record.vf), record.portVlan === 0 ? 0 : tag | at.VMVIR_ALWAYS);
  }

  #applySpoofCheck(record: VfRecord): void {
    const offset = at.pfVfSpoofOffset(record.vf >> 3);
    const bits = 0x101 << (record.vf & 7);
    const old = this.bar.read32(0, offset);
    this.#write(offset, record.spoofCheck ? old | bits : old & ~bits);
  }

  #applyRate(record: VfRecord): void {
    const rate = record.maxTxRateMbps;
    // 14.14 fixed point: link speed / rate
    const factor =
      rate === 0 ? 0 : Math.min(0x0fff_ffff, Math.floor((this.#options.linkSpeedMbps * 0x4000) / rate));
    for (let q = 0; q < QUEUES_PER_POOL; q++) {
      this.#write(at.RTTDQSEL, at.queueOf(record.vf, q));
      this.#write(at.RTTBCNRC, rate === 0 ? 0 : factor | at.RTTBCNRC_ENABLE);
    }
  }

  #setPoolBit(offsetOf: (half: number) => number, pool: number, on: boolean): void {
    const offset = offsetOf(pool >> 5);
    const bit = 1 << (pool & 31);
    const old = this.bar.read32(0, offset);
    this.#write(offset, on ? old | bit : old & ~bit);
  }

  #write(offset: number, value: number): void {
    this.bar.write32(0, offset, value);
  }
}
