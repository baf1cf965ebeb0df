/**
 * What the PF answers to its VFs' messages (vf-hardware 3.1), as the stock PF driver does.
 *
 *   interrupt -> for each VF:  reset seen?       forget what the guest had asked for
 *                              request?          receive -> handler -> reply with SUCCESS or FAILURE, and CTS
 *                              acknowledgement?  answered only to one that may not talk, and with FAILURE
 *                              a question of ours to its driver (vendor-requests.ts)? sent once it has read our last words
 *
 * A guest is not trusted: a message is 16 words of anything. Until it has sent RESET everything else is refused.
 */
import { realTimers, type TimerClock } from '../hardware/clock.js';
import {
  MAILBOX_WORDS,
  retaOffset,
  rssKeyOffset,
  vflrecOffset,
  vflreOffset,
} from '../hardware/nic/offsets.js';
import { QUEUES_PER_POOL } from '../hardware/nic/shared.js';
import { isStationMac, macHigh, macLow, macOfWords, ZERO_MAC } from './mac.js';
import type { PfDriver } from './pf-driver.js';
import { FilterTableFullError } from './pf-filters.js';
import { PfMailbox } from './pf-mailbox.js';
import { isVendorType, VendorRequests } from './vendor-requests.js';
import { API, API_SPOKEN, MAX_MULTICAST_HASHES, type VfRecord, XCAST } from './vf-record.js';

export const MESSAGE = {
  reset: 0x01,
  setMac: 0x02,
  setMulticast: 0x03,
  setVlan: 0x04,
  setMaxFrame: 0x05,
  setMacvlan: 0x06,
  negotiateApi: 0x08,
  getQueues: 0x09,
  getReta: 0x0a,
  getRssKey: 0x0b,
  updateXcastMode: 0x0c,
  getLinkState: 0x10,
  control: 0x100,
} as const;
export const SUCCESS = 0x8000_0000;
export const FAILURE = 0x4000_0000;
export const CLEAR_TO_SEND = 0x2000_0000;

const RESET_REPLY_WORDS = 4;
const MULTICAST_FILTER_TYPE = 0;
/** Services during which a VF may hold the buffer before its request is dropped: it speaks the protocol of API 1.5. */
const MAX_BUSY_SERVICES = 200;
/** Services during which a question of ours waits for the VF to have read what it was told before. */
const MAX_UNREAD_SERVICES = 200;

/** Writes its answer into the message's words. False: refused. */
type Handler = (record: VfRecord, message: Uint32Array) => boolean;

export class MailboxService {
  readonly #driver: PfDriver;
  readonly #mailbox: PfMailbox;
  readonly #handlers: ReadonlyMap<number, Handler>;
  readonly #busy: Uint32Array;
  /** Messages that found the buffer taken. */
  readonly #unsent: ({ message: Uint32Array; words: number } | null)[];
  readonly #vendor: VendorRequests;
  /** Per VF: 0, or 1 + services since something was written that it has not acknowledged. */
  readonly #unread: Uint32Array;
  /** Messages answered so far, by whether they were granted. */
  readonly counts = { granted: 0, refused: 0, resets: 0 };

  constructor(driver: PfDriver, timers: TimerClock = realTimers) {
    this.#driver = driver;
    this.#vendor = new VendorRequests(driver.vfs.length, timers);
    this.#unread = new Uint32Array(driver.vfs.length);
    this.#mailbox = new PfMailbox(driver.bar);
    this.#busy = new Uint32Array(driver.vfs.length);
    this.#unsent = driver.vfs.map(() => null);
    this.#handlers = new Map<number, Handler>([
      [MESSAGE.setMac, (record, message) => this.#setMac(record, message)],
      [MESSAGE.setMulticast, (record, message) => this.#setMulticast(record, message)],
      [MESSAGE.setVlan, (record, message) => this.#setVlan(record, message)],
      [MESSAGE.setMaxFrame, (record, message) => driver.setMaxFrame(record, message[1]!)],
      [MESSAGE.setMacvlan, (record, message) => this.#setMacvlan(record, message)],
      [MESSAGE.negotiateApi, negotiateApi],
      [MESSAGE.getQueues, (record, message) => getQueues(record, message, driver.trafficClasses)],
      [MESSAGE.getReta, (record, message) => this.#getReta(record, message)],
      [MESSAGE.getRssKey, (record, message) => this.#getRssKey(record, message)],
      [MESSAGE.updateXcastMode, (record, message) => this.#updateXcastMode(record, message)],
      [MESSAGE.getLinkState, getLinkState],
    ]);
  }

  /** Handles everything that waits. True: a VF holds its buffer, come back soon without being called. */
  service(): boolean {
    let comeBack = false;
    for (const record of this.#driver.vfs) {
      if (this.#takeReset(record.vf)) this.#driver.applyReset(record);
      // before a reply of ours clears it
      if (this.#mailbox.hasAcknowledgement(record.vf)) this.#noteRead(record.vf);
      if (this.#mailbox.hasRequest(record.vf) && !this.#serve(record)) comeBack = true;
      if (this.#mailbox.hasAcknowledgement(record.vf)) this.#takeAcknowledgement(record);
      const unsent = this.#unsent[record.vf];
      if (unsent !== null && unsent !== undefined) {
        this.#send(record.vf, unsent.message, unsent.words);
        if (this.#unsent[record.vf] !== null) comeBack = true;
      }
      if (!this.#sendQuestion(record)) comeBack = true;
    }
    return comeBack;
  }

  /** Asks a VF's driver; the caller has the mailboxes served. @throws RangeError for words that are no vendor message */
  ask(vf: number, words: readonly number[], limitMs: number): Promise<readonly number[]> {
    return this.#vendor.ask(this.#driver.vf(vf).vf, words, limitMs);
  }

  /** The VF is taken back: nobody will answer. */
  abandon(vf: number): void {
    this.#vendor.abandon(vf);
  }

  /** The control message: the VF looks at its link again. Without CTS it learns that it has to reset. */
  ping(vf: number): void {
    const record = this.#driver.vf(vf);
    const message = new Uint32Array(MAILBOX_WORDS);
    message[0] = MESSAGE.control | (record.clearToSend ? CLEAR_TO_SEND : 0);
    this.#send(vf, message, 1);
  }

  pingAll(): void {
    for (const record of this.#driver.vfs) this.ping(record.vf);
  }

  #takeReset(vf: number): boolean {
    const bar = this.#driver.bar;
    if (((bar.read32(0, vflreOffset(vf >> 5)) >>> (vf & 31)) & 1) === 0) return false;
    bar.write32(0, vflrecOffset(vf >> 5), 1 << (vf & 31));
    this.counts.resets++;
    return true;
  }

  #takeAcknowledgement(record: VfRecord): void {
    this.#mailbox.clearAcknowledgement(record.vf);
    if (record.clearToSend) return;
    const message = new Uint32Array(MAILBOX_WORDS);
    message[0] = FAILURE;
    this.#send(record.vf, message, 1);
  }

  #noteRead(vf: number): void {
    this.#unread[vf] = 0;
    this.#vendor.acknowledged(vf);
  }

  /** False: it has to wait. A driver that waits for an answer must not find a question in its place. */
  #sendQuestion({ vf, clearToSend }: VfRecord): boolean {
    const words = this.#vendor.due(vf);
    if (words === null) return true;
    if (!clearToSend || this.#mailbox.hasRequest(vf)) return false;
    if (this.#unread[vf]! > 0 && this.#unread[vf]!++ < MAX_UNREAD_SERVICES) return false;
    const message = Uint32Array.from(words);
    message[0] = message[0]! | CLEAR_TO_SEND;
    if (!this.#mailbox.send(vf, message, message.length)) return false;
    this.#unread[vf] = 1;
    this.#vendor.sent(vf);
    return true;
  }

  /** False: the VF holds the buffer. */
  #serve(record: VfRecord): boolean {
    const { vf } = record;
    const message = this.#mailbox.receive(vf);
    if (message === null) {
      if (this.#busy[vf]!++ < MAX_BUSY_SERVICES) return false;
      this.#busy[vf] = 0;
      this.#mailbox.clearRequest(vf);
      return true;
    }
    this.#busy[vf] = 0;
    const head = message[0]!;
    const isAnswer = (head & (SUCCESS | FAILURE)) !== 0;
    if (isAnswer && isVendorType(head) && this.#vendor.answered(vf, [...message])) return true;
    this.#vendor.overwritten(vf);
    // an answer of ours, read back
    if (isAnswer) return true;
    if ((head & 0xffff) === MESSAGE.reset) {
      this.#answerReset(record);
    } else if (!record.clearToSend) {
      message[0] = head | FAILURE;
      this.counts.refused++;
      this.#send(vf, message, 1);
    } else {
      const granted = this.#handle(record, message);
      this.counts[granted ? 'granted' : 'refused']++;
      message[0] = head | (granted ? SUCCESS : FAILURE) | CLEAR_TO_SEND;
      this.#send(vf, message, MAILBOX_WORDS);
    }
    return true;
  }

  #handle(record: VfRecord, message: Uint32Array): boolean {
    if (isVendorType(message[0]!)) {
      record.vendorMessages.set(message[0]! & 0xffff, [...message]);
      return true;
    }
    const handler = this.#handlers.get(message[0]! & 0xffff);
    if (handler === undefined) return false;
    try {
      return handler(record, message);
    } catch (error) {
      // what a guest asks for may not fit the card's tables; anything else is a fault of ours
      if (error instanceof FilterTableFullError) return false;
      throw error;
    }
  }

  #answerReset(record: VfRecord): void {
    this.#driver.applyReset(record);
    this.#mailbox.clearMemory(record.vf);
    this.#driver.admit(record);
    const hasMac = record.mac !== ZERO_MAC;
    const message = new Uint32Array(MAILBOX_WORDS);
    // without CTS: the reply's first word is compared as a whole
    message[0] = MESSAGE.reset | (hasMac ? SUCCESS : FAILURE);
    message[1] = macLow(record.mac);
    message[2] = macHigh(record.mac);
    message[3] = MULTICAST_FILTER_TYPE;
    this.counts.granted++;
    this.#send(record.vf, message, RESET_REPLY_WORDS);
  }

  #send(vf: number, message: Uint32Array, words: number): void {
    const isSent = this.#mailbox.send(vf, message, words);
    this.#unsent[vf] = isSent ? null : { message, words };
    if (isSent) this.#unread[vf] = 1;
  }

  // --- messages -------------------------------------------------------------------------------------------------------

  #setMac(record: VfRecord, message: Uint32Array): boolean {
    const mac = macOfWords(message[1]!, message[2]!);
    if (!isStationMac(mac)) return false;
    if (record.macFixed && !record.trusted && mac !== record.mac) return false;
    this.#driver.setMac(record, mac);
    return true;
  }

  #setMulticast(record: VfRecord, message: Uint32Array): boolean {
    const count = Math.min((message[0]! >>> 16) & 0xff, MAX_MULTICAST_HASHES);
    const hashes: number[] = [];
    for (let i = 0; i < count; i++) hashes.push((message[1 + (i >> 1)]! >>> ((i & 1) * 16)) & 0xfff);
    this.#driver.setMulticast(record, hashes);
    return true;
  }

  #setVlan(record: VfRecord, message: Uint32Array): boolean {
    const add = ((message[0]! >>> 16) & 0xff) !== 0;
    const vid = message[1]! & 0xfff;
    if (vid === 0 && !add) return true;
    if (record.portVlan !== 0) return false;
    this.#driver.setVlan(record, vid, add);
    return true;
  }

  #setMacvlan(record: VfRecord, message: Uint32Array): boolean {
    const index = (message[0]! >>> 16) & 0xff;
    if (index > 0 && record.macFixed && !record.trusted) return false;
    const mac = macOfWords(message[1]!, message[2]!);
    if (index > 0 && !isStationMac(mac)) return false;
    // the first of a new list, or an empty list
    if (index <= 1) this.#driver.clearMacvlans(record);
    if (index > 0) this.#driver.addMacvlan(record, mac);
    return true;
  }

  #getReta(record: VfRecord, message: Uint32Array): boolean {
    if (record.apiVersion < API.v12 || !record.rssQuery) return false;
    for (let word = 0; word < 8; word++) {
      let packed = 0;
      for (let entry = 0; entry < 16; entry++) {
        const index = word * 16 + entry;
        const value = this.#driver.bar.read32(0, retaOffset(index >> 2)) >>> ((index & 3) * 8);
        packed |= (value & 3) << (2 * entry);
      }
      message[1 + word] = packed;
    }
    return true;
  }

  #getRssKey(record: VfRecord, message: Uint32Array): boolean {
    if (record.apiVersion < API.v12 || !record.rssQuery) return false;
    for (let i = 0; i < 10; i++) message[1 + i] = this.#driver.bar.read32(0, rssKeyOffset(i));
    return true;
  }

  #updateXcastMode(record: VfRecord, message: Uint32Array): boolean {
    let mode = message[1]!;
    if (record.apiVersion < API.v12 || mode > XCAST.promisc) return false;
    if (mode === XCAST.promisc && record.apiVersion < API.v13) return false;
    if (mode > XCAST.multi && !record.trusted) mode = XCAST.multi;
    this.#driver.setXcastMode(record, mode);
    message[1] = mode;
    return true;
  }
}

function negotiateApi(record: VfRecord, message: Uint32Array): boolean {
  const version = message[1]!;
  if (!API_SPOKEN.includes(version)) return false;
  record.apiVersion = version;
  return true;
}

/** A driver that hears of several classes takes a receive queue for each, and sends by the default one's. */
function getQueues(record: VfRecord, message: Uint32Array, classes: number): boolean {
  if (record.apiVersion < API.v11) return false;
  message[1] = QUEUES_PER_POOL;
  message[2] = QUEUES_PER_POOL;
  message[3] = classes > 1 ? classes : record.portVlan === 0 ? 0 : 1;
  message[4] = 0;
  return true;
}

function getLinkState(record: VfRecord, message: Uint32Array): boolean {
  message[1] = record.link === 'disable' ? 0 : 1;
  return true;
}
