/**
 * One Rx queue of the scripted guest: a ring that is programmed anew each time by other habits, filled, cleaned and held
 * against what the device should have done.
 *
 *   slots    0 ... toClean ........... toUse ... slots        slot table: buffer (granule run), canary beside it
 *                  | posted, the first |
 *                  | ones completed    |
 */
import { DESCRIPTOR_BYTES } from '../../../hardware/nic/descriptors.js';
import type { Buffers } from './buffers.js';
import { Canaries } from './canaries.js';
import type { Character } from './character.js';
import { complain } from './complaints.js';
import { count } from './counters.js';
import type { Mmio } from './mmio.js';
import {
  GRANULE_BYTES,
  OWNER,
  POLICY,
  RING_PLACE_BYTES,
  RING_PLACES,
  RX_SLOTS_AT,
  ringPlace,
  SLOT_TABLE_BYTES,
} from './places.js';
import {
  DESCRIPTOR_TYPE,
  DROP_WITHOUT_DESCRIPTORS,
  ENABLE,
  HEADER_BUFFER_BYTES,
  rxRegister,
  STRIP_VLAN,
} from './registers.js';
import { auditHead, auditOrder } from './rx-audit.js';
import type { GuestState, QueueField } from './state.js';

export const DONE = 1;
const END_OF_PACKET = 2;
const LENGTH_MASK = 0xffff;
const HEADER_SHIFT = 21;
const HEADER_MASK = 0x3ff;
const SPLIT_HEADER = 0x8000_0000 | 0;
/** Bytes of a slot table's entry: buffer, canary (0: none). */
const ENTRY_BYTES = 8;
const RING_ALIGNMENT = 128;
const MAX_FRAME_BYTES = 16384;

export interface RxParts {
  readonly state: GuestState;
  readonly mmio: Mmio;
  readonly buffers: Buffers;
  readonly character: Character;
  /** Told of each frame: its bytes in scratch memory, its length, the slot and buffer of its first byte. */
  onFrame(frame: Uint8Array, bytes: number, slot: number, buffer: number): void;
}

export class RxQueue {
  readonly #queue: number;
  readonly #p: RxParts;
  readonly #canaries: Canaries;
  readonly #frame = new Uint8Array(MAX_FRAME_BYTES);

  constructor(queue: number, parts: RxParts) {
    this.#queue = queue;
    this.#p = parts;
    this.#canaries = new Canaries(parts.state);
  }

  get running(): boolean {
    return this.#get('running') !== 0;
  }

  // --- programming ----------------------------------------------------------------------------------------------------

  /** New habits for the ring that comes next. It lies at another place than the last one. */
  draw(): void {
    const { state, character } = this.#p;
    const slots = state.pick(character.slots);
    const split = state.chance(character.splitChance) ? 1 : 0;
    const place = (this.#get('place') + 1) % RING_PLACES;
    const room = (RING_PLACE_BYTES - slots * DESCRIPTOR_BYTES) / RING_ALIGNMENT;
    if (slots !== this.#get('slots')) count(state, 'ring-resized');
    if (split !== 0) count(state, 'header-split');
    this.#set('place', place);
    this.#set('base', ringPlace('rx', this.#queue, place) + state.between(0, room) * RING_ALIGNMENT);
    this.#set('slots', slots);
    this.#set('bufferKib', state.pick(character.buffersKib));
    this.#set('split', split);
    // with the tail on the last slot one is never completed: waiting for more would be for ever
    this.#set('batch', state.between(1, slots - 2));
    this.#set('tailLast', state.chance(character.tailLastChance) ? 1 : 0);
    this.#set('skew', state.pick(character.skews));
    this.#set('policy', state.pick(character.policies));
    // a slot keeps its own buffer only where all slots can have one
    if (slots > this.#affordable) this.#set('policy', POLICY.fresh);
    this.#set('byLength', split === 0 && state.chance(character.byLengthChance) ? 1 : 0);
  }

  /** Takes the buffers of all slots away. `settled`: the device is known to have let go of them. */
  empty(settled: boolean): void {
    const { state, buffers } = this.#p;
    const slots = this.#get('slots');
    for (let slot = 0; slot < slots; slot++) {
      const entry = this.#entry(slot);
      const buffer = state.ram.load(entry);
      if (buffer === 0) continue;
      if (settled) buffers.give(buffer, this.#granules());
      else buffers.quarantine(buffer, this.#granules(), this.#queue);
      state.ram.store(entry, 0);
    }
    if (!settled) this.#set('quarantined', 1);
    this.#set('running', 0);
  }

  /** The device has let go of every ring before the present one. */
  settled(): void {
    if (this.#get('quarantined') === 0) return;
    this.#p.buffers.release(this.#queue);
    this.#set('quarantined', 0);
  }

  get isQuarantined(): boolean {
    return this.#get('quarantined') !== 0;
  }

  writeDisable(): void {
    this.#write('RXDCTL', STRIP_VLAN);
  }

  readEnabled(): boolean {
    return (this.#p.mmio.read(rxRegister(this.#queue, 'RXDCTL')) & ENABLE) !== 0;
  }

  /** Clears the ring and writes its registers, ENABLE last. */
  program(): void {
    const { ram } = this.#p.state;
    const base = this.#get('base');
    ram.fill(base, this.#get('slots') * DESCRIPTOR_BYTES);
    this.#set('toClean', 0);
    this.#set('toUse', 0);
    this.#write('RDBAL', base);
    this.#write('RDBAH', 0);
    this.#write('RDLEN', this.#get('slots') * DESCRIPTOR_BYTES);
    this.#write('DCA_RXCTRL', 0x200);
    this.#write('RDH', 0);
    this.#write('RDT', 0);
    const type = this.#get('split') !== 0 ? DESCRIPTOR_TYPE.splitAlways : DESCRIPTOR_TYPE.oneBuffer;
    const header = (HEADER_BUFFER_BYTES / 64) << 8;
    this.#write('SRRCTL', this.#get('bufferKib') | header | type | DROP_WITHOUT_DESCRIPTORS);
    this.#write('RXDCTL', ENABLE | STRIP_VLAN);
    this.#set('running', 1);
  }

  /** The ring goes on where it was. */
  startAgain(): void {
    this.#write('RXDCTL', ENABLE | STRIP_VLAN);
  }

  // --- posting --------------------------------------------------------------------------------------------------------

  /** Slots that could be filled. */
  get empties(): number {
    const slots = this.#get('slots');
    return (this.#get('toClean') - this.#get('toUse') - 1 + slots) % slots;
  }

  refillIfDue(): void {
    if (this.running && this.empties >= Math.min(this.#get('batch'), this.#get('slots') - 1))
      this.fill(this.empties);
  }

  /** Fills up to so many slots and rings the doorbell: once, or for each slot. */
  fill(atMost: number): void {
    const { state, character } = this.#p;
    const burst = atMost <= 16 && state.chance(character.tailBurstChance);
    const slots = this.#get('slots');
    let filled = 0;
    const inUse = slots - 1 - this.empties;
    for (; filled < Math.min(atMost, this.#affordable - inUse); filled++) {
      const slot = this.#get('toUse');
      if (!this.#post(slot)) break;
      const next = (slot + 1) % slots;
      if (next === 0) count(state, 'ring-wrapped');
      this.#set('toUse', next);
      if (burst) this.#writeTail();
    }
    if (filled === 0) return;
    if (burst) count(state, 'tail-burst');
    else this.#writeTail();
  }

  /** Says again what was said. Who reads a register after it reads what the device has now. */
  repeatTail(): void {
    // before the first slot there is no last filled one: its index would hand over the whole ring
    const hasPosted = this.#get('toClean') !== this.#get('toUse');
    if (this.running && (hasPosted || this.#get('tailLast') === 0)) this.#writeTail();
  }

  #writeTail(): void {
    const slots = this.#get('slots');
    const back = this.#get('tailLast') !== 0 ? slots - 1 : 0;
    this.#write('RDT', (this.#get('toUse') + back) % slots);
  }

  #post(slot: number): boolean {
    const { state, character, buffers } = this.#p;
    const buffer = this.#takeBuffer(slot);
    if (buffer === 0) {
      count(state, 'noBuffers');
      return false;
    }
    const { ram } = state;
    const payload = this.#payload(buffer);
    const end = payload + this.#get('bufferKib') * GRANULE_BYTES - 1;
    if (payload >>> 12 !== end >>> 12) count(state, 'buffer-straddles');
    if (buffers.sharesPage(buffer, OWNER.rx + this.#queue)) count(state, 'page-shared');
    const withCanary = this.#get('skew') > 0 && state.chance(character.canaryChance);
    ram.store(this.#entry(slot) + 4, withCanary ? this.#canaries.write(buffer, this.#granules()) : 0);
    const at = this.#descriptor(slot);
    ram.store(at, payload);
    ram.store(at + 4, 0);
    if (this.#get('byLength') !== 0) {
      // as the stock driver: only the next slot's length; what the last lap left elsewhere stays
      ram.store(this.#descriptor((slot + 1) % this.#get('slots')) + 12, 0);
      return true;
    }
    ram.store(at + 8, this.#get('split') !== 0 ? buffer : 0);
    ram.store(at + 12, 0);
    return true;
  }

  #takeBuffer(slot: number): number {
    const { state, buffers } = this.#p;
    const entry = this.#entry(slot);
    const policy = this.#get('policy');
    const owner = OWNER.rx + this.#queue;
    const own = state.ram.load(entry);
    if (own !== 0) return own;
    const last = state.get('lastBuffer');
    if (policy === POLICY.lastFreed && last !== 0 && buffers.takeAt(last, this.#granules(), owner)) {
      state.ram.store(entry, last);
      state.set('lastBuffer', 0);
      return last;
    }
    const buffer = buffers.take(this.#granules(), owner);
    state.ram.store(entry, buffer);
    return buffer;
  }

  // --- taking what arrived --------------------------------------------------------------------------------------------

  isDone(slot = this.#get('toClean')): boolean {
    const { ram } = this.#p.state;
    const at = this.#descriptor(slot);
    return this.#get('byLength') !== 0
      ? (ram.load(at + 12) & LENGTH_MASK) !== 0
      : (ram.load(at + 8) & DONE) !== 0;
  }

  /** Whether anything has arrived that was not taken. */
  get hasArrivals(): boolean {
    return this.running && this.#get('toClean') !== this.#get('toUse') && this.isDone();
  }

  /** Takes whole frames. Returns how many. */
  clean(budget: number): number {
    let frames = 0;
    while (frames < budget && this.running && this.#takeFrame()) frames++;
    if (frames > 0) this.settled();
    return frames;
  }

  #takeFrame(): boolean {
    const { ram } = this.#p.state;
    const slots = this.#get('slots');
    const first = this.#get('toClean');
    const toUse = this.#get('toUse');
    let bytes = 0;
    for (let slot = first; slot !== toUse && this.isDone(slot); slot = (slot + 1) % slots) {
      bytes = this.#gather(slot, bytes);
      if ((ram.load(this.#descriptor(slot) + 8) & END_OF_PACKET) === 0) continue;
      this.#p.onFrame(this.#frame, bytes, first, this.#payload(ram.load(this.#entry(first))));
      this.#consume(first, slot);
      return true;
    }
    return false;
  }

  /** Adds a slot's bytes behind those that are there. */
  #gather(slot: number, have: number): number {
    const { state } = this.#p;
    const { ram } = state;
    const at = this.#descriptor(slot);
    const buffer = ram.load(this.#entry(slot));
    const info = ram.load(at);
    const bytes = ram.load(at + 12) & LENGTH_MASK;
    if (bytes > this.#get('bufferKib') * GRANULE_BYTES) {
      complain(state, 'frame-length', this.#queue, slot, bytes);
      return have;
    }
    let end = have;
    if (this.#get('split') !== 0 && (info & SPLIT_HEADER) !== 0) {
      const header = (info >>> HEADER_SHIFT) & HEADER_MASK;
      this.#frame.set(ram.bytes.subarray(buffer, buffer + header), end);
      end += header;
    }
    const payload = this.#payload(buffer);
    const room = Math.min(bytes, MAX_FRAME_BYTES - end);
    this.#frame.set(ram.bytes.subarray(payload, payload + room), end);
    this.#canaries.check(buffer, this.#granules(), ram.load(this.#entry(slot) + 4));
    return end + room;
  }

  #consume(first: number, last: number): void {
    const { ram } = this.#p.state;
    const slots = this.#get('slots');
    const end = (last + 1) % slots;
    for (let slot = first; slot !== end; slot = (slot + 1) % slots) {
      if (this.#get('policy') !== POLICY.own) this.#free(slot);
      if (this.#get('byLength') !== 0) continue;
      ram.store(this.#descriptor(slot) + 8, 0);
      ram.store(this.#descriptor(slot) + 12, 0);
    }
    this.#set('toClean', end);
  }

  #free(slot: number): void {
    const { state, buffers } = this.#p;
    const entry = this.#entry(slot);
    const buffer = state.ram.load(entry);
    buffers.give(buffer, this.#granules());
    state.ram.store(entry, 0);
    state.set('lastBuffer', buffer);
    count(state, 'buffers-moved');
  }

  /** How many slots may have a buffer: a queue leaves some for the others. */
  get #affordable(): number {
    const { buffers, character } = this.#p;
    return Math.floor(buffers.granules / (character.queues + 1) / this.#granules());
  }

  // --- looking for what must not be -----------------------------------------------------------------------------------

  /** After repeatTail(), and nothing taken since. */
  audit(): void {
    const { state, mmio } = this.#p;
    const head = mmio.read(rxRegister(this.#queue, 'RDH'));
    if (this.running) auditHead(state, this.#queue, head, (slot) => this.isDone(slot));
  }

  auditOrder(): void {
    // where a length says it, a slot that was taken still says that it is done
    if (!this.running || this.#get('byLength') !== 0) return;
    auditOrder(this.#p.state, this.#queue, (slot) => this.isDone(slot));
  }

  /** Rewrites the word beside some posted buffer, while the device may be writing into that page. */
  touchCanary(): void {
    const { state } = this.#p;
    if (!this.running) return;
    const slot = state.int(this.#get('slots'));
    const entry = this.#entry(slot);
    const buffer = state.ram.load(entry);
    if (buffer === 0 || state.ram.load(entry + 4) === 0) return;
    this.#canaries.check(buffer, this.#granules(), state.ram.load(entry + 4));
    state.ram.store(entry + 4, this.#canaries.write(buffer, this.#granules()));
  }

  #granules(): number {
    return this.#get('bufferKib') + (this.#get('split') !== 0 ? 1 : 0) + (this.#get('skew') !== 0 ? 1 : 0);
  }

  /** Where the device puts the payload; a split header goes to the run's first bytes. */
  #payload(buffer: number): number {
    return buffer + (this.#get('split') !== 0 ? GRANULE_BYTES : 0) + this.#get('skew');
  }

  #descriptor(slot: number): number {
    return this.#get('base') + slot * DESCRIPTOR_BYTES;
  }

  #entry(slot: number): number {
    return RX_SLOTS_AT + this.#queue * SLOT_TABLE_BYTES + slot * ENTRY_BYTES;
  }

  #get(field: QueueField): number {
    return this.#p.state.queue('rx', this.#queue, field);
  }

  #set(field: QueueField, value: number): void {
    this.#p.state.setQueue('rx', this.#queue, field, value);
  }

  #write(register: Parameters<typeof rxRegister>[1], value: number): void {
    this.#p.mmio.write(rxRegister(this.#queue, register), value);
  }
}
