/**
 * One Tx queue of the scripted guest: packets of one to four descriptors, with or without a context, cut by the card or
 * not, reported by write-back or by the head's value in memory.
 *
 *   slot table: buffer of a packet (at its first data descriptor) and its granules | what the slot is
 */
import { DESCRIPTOR_BYTES, TX_COMMAND, TX_OPTION, TX_TYPE } from '../../../hardware/nic/descriptors.js';
import {
  HEADER,
  MIN_NUMBERED_BYTES,
  STREAM,
  writeNumberedFrame,
  writeSegmentedFrame,
} from '../frame-format.js';
import type { Buffers } from './buffers.js';
import type { Character } from './character.js';
import { complain } from './complaints.js';
import { count } from './counters.js';
import type { Mmio } from './mmio.js';
import {
  GRANULE_BYTES,
  HEAD_WORDS_AT,
  OWNER,
  QUEUES,
  RING_PLACE_BYTES,
  RING_PLACES,
  ringPlace,
  SLOT_TABLE_BYTES,
  TX_SLOTS_AT,
} from './places.js';
import { ENABLE, SOFTWARE_FLUSH, TX_THRESHOLDS, txRegister } from './registers.js';
import type { GuestState, QueueField } from './state.js';
import { type ContextChoice, TxContexts } from './tx-contexts.js';

const ENTRY_BYTES = 8;
const RING_ALIGNMENT = 128;
/** A slot table's second word: granules of the buffer, and flags. */
const GRANULES_MASK = 0xff;
const LAST = 1 << 8;
const REPORTS = 1 << 9;
const INSERT_CRC = 1 << 25;
const INDEX_SHIFT = 4;
const PAYLOAD_SHIFT = 14;
const TYPE_SHIFT = 20;
/** A context, and up to four pieces. */
const MOST_DESCRIPTORS = 5;
const HEAD_ENABLE = 1;
const HEAD_STRIDE = 64;
const BROADCAST = 0xffff_ffff;
const MAX_SEGMENT_PAYLOAD = 5000;

export interface TxParts {
  readonly state: GuestState;
  readonly mmio: Mmio;
  readonly buffers: Buffers;
  readonly character: Character;
}

/** A packet as it lies in memory, and what the card is to do with it. */
interface Packet {
  readonly bytes: number;
  readonly command: number;
  readonly options: number;
  readonly context: ContextChoice | null;
  readonly payloadBytes: number;
}

export class TxQueue {
  readonly #queue: number;
  readonly #p: TxParts;
  readonly #contexts: TxContexts;
  readonly #frame = new Uint8Array(MAX_SEGMENT_PAYLOAD + HEADER.tcp);

  constructor(queue: number, parts: TxParts) {
    this.#queue = queue;
    this.#p = parts;
    this.#contexts = new TxContexts(parts.state, queue);
  }

  get running(): boolean {
    return this.#get('running') !== 0;
  }

  get isQuarantined(): boolean {
    return this.#get('quarantined') !== 0;
  }

  // --- programming ----------------------------------------------------------------------------------------------------

  draw(): void {
    const { state, character } = this.#p;
    const slots = state.pick(character.slots);
    const place = (this.#get('place') + 1) % RING_PLACES;
    const room = (RING_PLACE_BYTES - slots * DESCRIPTOR_BYTES) / RING_ALIGNMENT;
    this.#set('place', place);
    this.#set('base', ringPlace('tx', this.#queue, place) + state.between(0, room) * RING_ALIGNMENT);
    this.#set('slots', slots);
    // one area for each place: a late report of the last ring must not hit this one's word
    const area = HEAD_WORDS_AT + (this.#queue * RING_PLACES + place) * HEAD_STRIDE;
    const headWord = area + 4 * state.int(HEAD_STRIDE / 4);
    this.#set('headWord', state.chance(character.headWriteBackChance) ? headWord : 0);
  }

  /** `settled`: the device is known to have let go of the ring. */
  empty(settled: boolean): void {
    const slots = this.#get('slots');
    for (let slot = 0; slot < slots; slot++) this.#giveBack(slot, settled);
    if (!settled) this.#set('quarantined', 1);
    this.#set('running', 0);
  }

  settled(): void {
    if (!this.isQuarantined) return;
    this.#p.buffers.release(QUEUES + this.#queue);
    this.#set('quarantined', 0);
  }

  writeDisable(): void {
    this.#write('TXDCTL', SOFTWARE_FLUSH);
  }

  readEnabled(): boolean {
    return (this.#p.mmio.read(txRegister(this.#queue, 'TXDCTL')) & ENABLE) !== 0;
  }

  program(): void {
    const { ram } = this.#p.state;
    const headWord = this.#get('headWord');
    ram.fill(this.#get('base'), this.#get('slots') * DESCRIPTOR_BYTES);
    if (headWord !== 0) ram.store(headWord, 0);
    this.#set('toClean', 0);
    this.#set('toUse', 0);
    this.#contexts.forget();
    this.#write('TDBAL', this.#get('base'));
    this.#write('TDBAH', 0);
    this.#write('TDLEN', this.#get('slots') * DESCRIPTOR_BYTES);
    this.#write('TDWBAH', 0);
    this.#write('TDWBAL', headWord === 0 ? 0 : headWord | HEAD_ENABLE);
    this.#write('TDH', 0);
    this.#write('TDT', 0);
    this.#write('TXDCTL', TX_THRESHOLDS | ENABLE);
    this.#set('running', 1);
  }

  // --- sending --------------------------------------------------------------------------------------------------------

  /** Posts up to so many packets and rings once. */
  send(packets: number): void {
    let posted = 0;
    // relied on within one burst only: what was set longer ago may have left the ring, and nobody can read it from the card
    this.#contexts.forget();
    while (posted < packets && this.running && this.#free > MOST_DESCRIPTORS && this.#sendOne()) posted++;
    if (posted === 0) return;
    count(this.#p.state, 'framesSent', posted);
    this.#write('TDT', this.#get('toUse'));
  }

  get #free(): number {
    const slots = this.#get('slots');
    return (this.#get('toClean') - this.#get('toUse') - 1 + slots) % slots;
  }

  #sendOne(): boolean {
    const { state, buffers } = this.#p;
    const packet = state.chance(0.15) ? this.#makeSegmented() : this.#makeNumbered();
    const skew = state.pick([0, 2, 63]);
    const granules = Math.ceil((packet.bytes + skew) / GRANULE_BYTES);
    const buffer = buffers.take(granules, OWNER.tx + this.#queue);
    if (buffer === 0) {
      // a context that was chosen for it is not posted
      this.#contexts.forget();
      return false;
    }
    state.ram.storeBytes(buffer + skew, this.#frame.subarray(0, packet.bytes));
    const context = packet.context?.descriptor;
    if (context !== undefined && context !== null) {
      count(state, 'tx-context');
      this.#put(context, 0, 0);
    }
    this.#putPieces(packet, buffer, skew, granules);
    return true;
  }

  /** The packet's bytes as one to four descriptors. */
  #putPieces(packet: Packet, buffer: number, skew: number, granules: number): void {
    const { state } = this.#p;
    const pieces = state.between(1, 4);
    // a packet that is not reported is known to be gone when a later one is
    const scarce = this.#free <= 2 * MOST_DESCRIPTORS + 1 || this.#free < this.#get('slots') / 2;
    const reports = scarce || state.chance(0.8);
    const headWord = this.#get('headWord');
    if (headWord !== 0) count(state, 'tx-head-write-back');
    let from = 0;
    for (let piece = 0; piece < pieces; piece++) {
      const last = piece === pieces - 1;
      // the first piece holds the headers
      const end = last ? packet.bytes : Math.min(packet.bytes - 4, from + HEADER.tcp + state.int(400));
      if (end <= from) continue;
      let command = (end - from) | packet.command;
      if (last) command |= TX_COMMAND.endOfPacket | (reports ? TX_COMMAND.reportStatus : 0);
      const check =
        packet.context === null ? 0 : TX_OPTION.checkContext | (packet.context.index << INDEX_SHIFT);
      const options = from === 0 ? packet.options | check | (packet.payloadBytes << PAYLOAD_SHIFT) : 0;
      const flags = last ? LAST | (reports ? REPORTS : 0) : 0;
      const owns = from === 0;
      this.#put(
        [buffer + skew + from, 0, command, options],
        owns ? buffer : 0,
        (owns ? granules : 0) | flags,
      );
      from = end;
    }
  }

  #put(words: readonly number[], buffer: number, info: number): void {
    const { ram } = this.#p.state;
    const slot = this.#get('toUse');
    const at = this.#descriptor(slot);
    words.forEach((word, i) => {
      ram.store(at + 4 * i, word);
    });
    ram.store(this.#entry(slot), buffer);
    ram.store(this.#entry(slot) + 4, info);
    this.#set('toUse', (slot + 1) % this.#get('slots'));
  }

  #makeNumbered(): Packet {
    const { state } = this.#p;
    const tagged = state.get('hasVlan') !== 0 && state.chance(0.2);
    const offload = state.chance(0.3);
    const shape = offload ? 'udp' : state.pick(['raw', 'ipv4', 'udp'] as const);
    const bytes = state.between(MIN_NUMBERED_BYTES, 1500);
    const counter = tagged ? 'nextTaggedNumber' : 'nextNumber';
    const number = state.get(counter);
    state.set(counter, number + 1);
    const stream = tagged ? STREAM.guestTagged : STREAM.guest;
    const addresses = { target: this.#target(), source: this.#mac('mac') };
    writeNumberedFrame(this.#frame, {
      shape,
      ...addresses,
      stream,
      number,
      bytes,
      flow: this.#queue,
      offload,
    });
    return {
      bytes,
      command: DATA | (tagged ? TX_COMMAND.insertVlan : 0),
      options: offload ? TX_OPTION.ipChecksum | TX_OPTION.l4Checksum : 0,
      context: tagged || offload ? this.#contexts.choose({ tcp: false, tagged, segmentBytes: 0 }) : null,
      payloadBytes: bytes,
    };
  }

  #makeSegmented(): Packet {
    const { state } = this.#p;
    const segmentBytes = state.pick([100, 512, 1400]);
    const payloadBytes = state.between(1, Math.min(MAX_SEGMENT_PAYLOAD, segmentBytes * 6));
    const sequence = state.get('nextSequence') >>> 0;
    state.set('nextSequence', sequence + payloadBytes);
    const addresses = { target: this.#target(), source: this.#mac('mac') };
    writeSegmentedFrame(this.#frame, { ...addresses, sequence, payloadBytes });
    count(state, 'tx-segmentation');
    return {
      bytes: HEADER.tcp + payloadBytes,
      command: DATA | TX_COMMAND.segment,
      options: TX_OPTION.ipChecksum | TX_OPTION.l4Checksum,
      context: this.#contexts.choose({ tcp: true, tagged: false, segmentBytes }),
      payloadBytes,
    };
  }

  /** Whom it heard last; everybody before it has heard anybody. */
  #target(): Uint8Array {
    const { state } = this.#p;
    if (state.get('peerLow') !== 0 || state.get('peerHigh') !== 0) return this.#mac('peer');
    return macBytes(BROADCAST, BROADCAST);
  }

  #mac(whose: 'mac' | 'peer'): Uint8Array {
    const { state } = this.#p;
    return macBytes(state.get(`${whose}Low`), state.get(`${whose}High`));
  }

  // --- what was sent --------------------------------------------------------------------------------------------------

  /** Gives back the buffers of packets that the device has reported. */
  reap(): void {
    if (!this.running) return;
    const { state } = this.#p;
    const end = this.#get('headWord') === 0 ? this.#reportedEnd() : this.#headInMemory();
    const slots = this.#get('slots');
    let packets = 0;
    for (let slot = this.#get('toClean'); slot !== end; slot = (slot + 1) % slots) {
      if ((state.ram.load(this.#entry(slot) + 4) & LAST) !== 0) packets++;
      this.#giveBack(slot, true);
      state.ram.store(this.#descriptor(slot) + 12, 0);
      this.#set('toClean', (slot + 1) % slots);
    }
    if (packets === 0) return;
    count(state, 'framesCompleted', packets);
    this.settled();
  }

  /** One past the last slot that was reported in its descriptor. */
  #reportedEnd(): number {
    const { ram } = this.#p.state;
    const slots = this.#get('slots');
    let end = this.#get('toClean');
    for (let slot = end; slot !== this.#get('toUse'); slot = (slot + 1) % slots) {
      if ((ram.load(this.#entry(slot) + 4) & REPORTS) === 0) continue;
      if ((ram.load(this.#descriptor(slot) + 12) & TX_OPTION.done) === 0) break;
      end = (slot + 1) % slots;
    }
    return end;
  }

  #headInMemory(): number {
    const { state } = this.#p;
    const head = state.ram.load(this.#get('headWord'));
    if (this.#isPosted(head)) return head;
    complain(state, 'tx-head-outside', this.#queue, head, this.#get('toClean'), this.#get('toUse'));
    return this.#get('toClean');
  }

  /** Where the head may be: at a slot that is posted, or behind the last one. */
  #isPosted(head: number): boolean {
    const slots = this.#get('slots');
    const toClean = this.#get('toClean');
    return (
      head >= 0 &&
      head < slots &&
      (head - toClean + slots) % slots <= (this.#get('toUse') - toClean + slots) % slots
    );
  }

  /** The head is where packets are, and what it passed is reported; a slot that is not posted is not. */
  audit(): void {
    const { state, mmio } = this.#p;
    const head = mmio.read(txRegister(this.#queue, 'TDH'));
    if (!this.running) return;
    if (!this.#isPosted(head)) {
      complain(state, 'tx-head-outside', this.#queue, head, this.#get('toClean'), this.#get('toUse'));
      return;
    }
    if (this.#get('headWord') !== 0) return;
    const slots = this.#get('slots');
    for (let slot = this.#get('toClean'); slot !== head; slot = (slot + 1) % slots) {
      const reports = (state.ram.load(this.#entry(slot) + 4) & REPORTS) !== 0;
      if (reports && !this.#isDone(slot)) complain(state, 'tx-head-without-report', this.#queue, slot, head);
    }
    for (let i = this.#free, slot = this.#get('toUse'); i > 0; i--, slot = (slot + 1) % slots) {
      if (this.#isDone(slot)) complain(state, 'tx-completed-unposted', this.#queue, slot);
    }
  }

  #isDone(slot: number): boolean {
    return (this.#p.state.ram.load(this.#descriptor(slot) + 12) & TX_OPTION.done) !== 0;
  }

  #giveBack(slot: number, settled: boolean): void {
    const { state, buffers } = this.#p;
    const entry = this.#entry(slot);
    const buffer = state.ram.load(entry);
    const granules = state.ram.load(entry + 4) & GRANULES_MASK;
    if (buffer !== 0) {
      if (settled) buffers.give(buffer, granules);
      else buffers.quarantine(buffer, granules, QUEUES + this.#queue);
    }
    state.ram.store(entry, 0);
    state.ram.store(entry + 4, 0);
  }

  #descriptor(slot: number): number {
    return this.#get('base') + slot * DESCRIPTOR_BYTES;
  }

  #entry(slot: number): number {
    return TX_SLOTS_AT + this.#queue * SLOT_TABLE_BYTES + slot * ENTRY_BYTES;
  }

  #get(field: QueueField): number {
    return this.#p.state.queue('tx', this.#queue, field);
  }

  #set(field: QueueField, value: number): void {
    this.#p.state.setQueue('tx', this.#queue, field, value);
  }

  #write(register: Parameters<typeof txRegister>[1], value: number): void {
    this.#p.mmio.write(txRegister(this.#queue, register), value);
  }
}

const DATA = (TX_TYPE.data << TYPE_SHIFT) | INSERT_CRC | TX_COMMAND.advanced;

function macBytes(low: number, high: number): Uint8Array {
  return Uint8Array.of(low, low >>> 8, low >>> 16, low >>> 24, high, high >>> 8);
}
