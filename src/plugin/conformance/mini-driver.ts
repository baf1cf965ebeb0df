/**
 * A guest's VF driver, as a script calls for it: one Rx and one Tx queue pair per queue, with the habits of different real
 * drivers. It only knows guest memory and the guest's BAR accesses.
 */
import { DESCRIPTOR_BYTES, ENABLE, REG, RX, rxRegister, TX, txRegister } from '../vf82599/registers.js';
import type { TestHost } from './test-host.js';

export interface DriverHabits {
  readonly rxSlots: number;
  readonly txSlots: number;
  /** KiB per packet buffer. */
  readonly bufferKib: number;
  /** A new buffer for each refill, from a large pool; else the slot's buffer is reused. */
  readonly freshBuffers: boolean;
  /** Offset of each buffer from its aligned place: buffers may straddle pages. */
  readonly skew: number;
  /** Refill when this many slots are empty. */
  readonly batch: number;
  /** The tail is one past the last filled slot, or that slot's own index. */
  readonly tail: 'past' | 'last';
  /** SRRCTL's descriptor type: 1 one buffer, 5 header split always. */
  readonly descriptorType: 1 | 5;
  /** First byte of the rings: a driver that is loaded again may put them elsewhere. */
  readonly ringsAt: number;
  /** Writes a byte of every buffer that it takes, and of its Tx ring: what it has seen of DMA, the vCPU's dirty log has. */
  readonly dummyWrites: boolean;
}

export const STOCK_HABITS: DriverHabits = {
  rxSlots: 64,
  txSlots: 64,
  bufferKib: 2,
  freshBuffers: false,
  skew: 0,
  batch: 16,
  tail: 'past',
  descriptorType: 1,
  ringsAt: 0x10_0000,
  dummyWrites: false,
};

const RING_STRIDE = 0x1_0000;
const HEADERS = 0x20_0000;
const TX_BUFFERS = 0x30_0000;
const BUFFERS = 0x40_0000;
const HEADER_BYTES = 128;
const DONE = 1;
const END_OF_PACKET = 2;
const ETHERNET_PAYLOAD = 14;
const IP_PAYLOAD = 34;

/** Where the driver stands: what its code would hold in registers and on its heap. Survives a migration by itself. */
interface QueueState {
  toClean: number;
  toUse: number;
  txToUse: number;
  txToClean: number;
  slotBuffers: number[];
}

export class MiniDriver {
  habits: DriverHabits;
  readonly queues: QueueState[];
  host: TestHost;
  /** First byte of the Tx rings. */
  txRingsAt = 0x18_0000;
  /** Frames received whole, and those whose bytes were not what the peer sent. */
  received: number[] = [];
  damaged = 0;
  sent = 0;
  /** Pages the driver's own stores dirtied: what a vCPU's dirty log would hold. */
  readonly cpuDirty = new Set<number>();
  #nextBuffer = 0;
  /** The frame whose descriptors are being taken. */
  readonly #frame = new Uint8Array(16384);
  #frameBytes = 0;

  constructor(host: TestHost, habits: DriverHabits = STOCK_HABITS, queueCount = 1) {
    this.host = host;
    this.habits = habits;
    this.queues = Array.from({ length: queueCount }, () => ({
      toClean: 0,
      toUse: 0,
      txToUse: 0,
      txToClean: 0,
      slotBuffers: [],
    }));
  }

  /** Probe and open: interrupts routed and unmasked, rings programmed, filled and enabled. */
  up(): void {
    const { host } = this;
    host.configWrite(0x04, 0x6);
    host.configWrite(0x70, host.configRead(0x70) | 0x8000_0000);
    for (let v = 0; v < 3; v++) {
      host.msixWrite(16 * v, 0xfee0_0000);
      host.msixWrite(16 * v + 8, v);
      host.msixWrite(16 * v + 12, 0);
    }
    host.guestWrite(REG.VFPSRTYPE, this.queues.length > 1 ? 0x2000_1330 : 0x1330);
    this.queues.forEach((_, q) => {
      this.startRx(q);
      this.startTx(q);
    });
    host.guestWrite(REG.VTIVAR, this.queues.length > 1 ? 0x8181_8080 : 0x8080);
    host.guestWrite(REG.VTIVAR_MISC, 0x82);
    for (let v = 0; v < 3; v++) host.guestWrite(REG.VTEITR + 4 * v, 0);
    host.guestWrite(REG.VTEIAC, 7);
    host.guestWrite(REG.VTEIMS, 7);
  }

  /** As the stock driver: read, disable, poll; then the ring; then enable, poll; fill; tail. */
  startRx(q: number): void {
    const { host } = this;
    this.stopRx(q);
    this.programRx(q);
    this.poll(`Rx queue ${q} to start`, () => (host.guestRead(rxRegister(q, RX.RXDCTL)) & ENABLE) !== 0);
    this.fillRx(q);
  }

  /** Ring and ENABLE, nothing read back. */
  programRx(q: number): void {
    const { habits } = this;
    const write = (offset: number, value: number): void => this.host.guestWrite(rxRegister(q, offset), value);
    write(RX.RDBAL, this.#ringOf(q));
    write(RX.RDBAH, 0);
    write(RX.RDLEN, habits.rxSlots * DESCRIPTOR_BYTES);
    write(RX.DCA_RXCTRL, 0x200);
    write(RX.RDH, 0);
    write(RX.RDT, 0);
    write(RX.SRRCTL, habits.bufferKib | ((HEADER_BYTES / 64) << 8) | (habits.descriptorType << 25));
    write(RX.RXDCTL, ENABLE);
  }

  /** All slots but one get a buffer. */
  fillRx(q: number): void {
    const queue = this.queues[q]!;
    queue.toClean = 0;
    queue.toUse = 0;
    queue.slotBuffers = [];
    this.#fill(q, this.habits.rxSlots - 1);
  }

  stopRx(q: number): void {
    const { host } = this;
    const register = rxRegister(q, RX.RXDCTL);
    const control = host.guestRead(register);
    if ((control & ENABLE) === 0) return;
    host.guestWrite(register, control & ~ENABLE);
    this.poll(`Rx queue ${q} to stop`, () => (host.guestRead(register) & ENABLE) === 0);
  }

  /** The stock driver does not wait for a Tx queue to stop. */
  startTx(q: number): void {
    const { host, habits } = this;
    const write = (offset: number, value: number): void => host.guestWrite(txRegister(q, offset), value);
    write(TX.TXDCTL, 0);
    write(TX.TDBAL, this.txRingsAt + q * RING_STRIDE);
    write(TX.TDBAH, 0);
    write(TX.TDLEN, habits.txSlots * DESCRIPTOR_BYTES);
    write(TX.TDWBAL, 0);
    write(TX.TDH, 0);
    write(TX.TDT, 0);
    write(TX.TXDCTL, ENABLE | 0x20);
    this.poll(`Tx queue ${q} to start`, () => (host.guestRead(txRegister(q, TX.TXDCTL)) & ENABLE) !== 0);
    this.queues[q]!.txToUse = 0;
    this.queues[q]!.txToClean = 0;
  }

  /** Takes what has arrived, by length as the stock driver does, and refills in batches. Returns frames taken. */
  clean(q = 0, budget = 64): number {
    const { host, habits } = this;
    const queue = this.queues[q]!;
    let frames = 0;
    while (frames < budget && queue.toClean !== queue.toUse) {
      const at = (this.#ringOf(q) + queue.toClean * DESCRIPTOR_BYTES) >> 2;
      const length = host.words[at + 3]! & 0xffff;
      const status = host.words[at + 2]!;
      if ((status & DONE) === 0) break;
      const headerBytes = habits.descriptorType === 5 ? (host.words[at]! >>> 21) & 0x3ff : 0;
      this.#gather(q, queue.toClean, headerBytes, length);
      if ((status & END_OF_PACKET) !== 0) this.#take();
      // status and length of a consumed slot are cleared, so that it is not taken twice
      this.#store(at + 2, 0);
      this.#store(at + 3, 0);
      queue.toClean = (queue.toClean + 1) % habits.rxSlots;
      frames++;
    }
    if (habits.dummyWrites) this.#touch(this.txRingsAt + q * RING_STRIDE, habits.txSlots * DESCRIPTOR_BYTES);
    const empty = (queue.toClean - queue.toUse - 1 + habits.rxSlots) % habits.rxSlots;
    if (empty >= habits.batch) this.#fill(q, empty);
    return frames;
  }

  /**
   * Sends one frame. `context`: a context descriptor to post before it, or that one is `set` already; then the data
   * descriptor asks for it. `command`: more command bits, VLAN insertion for one.
   */
  send(frame: Uint8Array, q = 0, context: readonly number[] | 'set' | null = null, command = 0): boolean {
    const { host, habits } = this;
    const queue = this.queues[q]!;
    queue.txToClean = host.guestRead(txRegister(q, TX.TDH));
    const room = (queue.txToClean - queue.txToUse - 1 + habits.txSlots) % habits.txSlots;
    if (room < 4) return false;
    if (context !== null && context !== 'set') this.#putTx(q, context);
    const buffer = TX_BUFFERS + q * 0x4_0000 + queue.txToUse * 2048;
    host.ram.set(frame, buffer);
    this.#touch(buffer, frame.length);
    const data = frame.length | (3 << 20) | (1 << 24) | (1 << 25) | (1 << 27) | (1 << 29) | command;
    this.#putTx(q, [buffer, 0, data, (frame.length << 14) | (context === null ? 0 : 1 << 7)]);
    host.guestWrite(txRegister(q, TX.TDT), queue.txToUse);
    this.sent++;
    return true;
  }

  /** Polls a condition while the rest of the world goes on. */
  poll(what: string, condition: () => boolean): void {
    for (let i = 0; !condition(); i++) {
      if (i === 100) throw new Error(`the driver polled in vain for ${what}`);
      this.host.engine.step();
      this.host.clock.advance(10_000);
    }
  }

  #ringOf(q: number): number {
    return this.habits.ringsAt + q * RING_STRIDE;
  }

  #putTx(q: number, words: readonly number[]): void {
    const queue = this.queues[q]!;
    const at = (this.txRingsAt + q * RING_STRIDE + queue.txToUse * DESCRIPTOR_BYTES) >> 2;
    words.forEach((word, i) => {
      this.#store(at + i, word);
    });
    queue.txToUse = (queue.txToUse + 1) % this.habits.txSlots;
  }

  #fill(q: number, count: number): void {
    const { host, habits } = this;
    const queue = this.queues[q]!;
    for (let i = 0; i < count; i++) {
      const slot = queue.toUse;
      const buffer = this.#bufferFor(q, slot);
      queue.slotBuffers[slot] = buffer;
      const at = (this.#ringOf(q) + slot * DESCRIPTOR_BYTES) >> 2;
      this.#store(at, buffer);
      this.#store(at + 1, 0);
      this.#store(at + 2, habits.descriptorType === 5 ? HEADERS + (q * 4096 + slot) * HEADER_BYTES : 0);
      this.#store(at + 3, 0);
      queue.toUse = (slot + 1) % habits.rxSlots;
    }
    const tail = habits.tail === 'past' ? queue.toUse : (queue.toUse - 1 + habits.rxSlots) % habits.rxSlots;
    host.guestWrite(rxRegister(q, RX.RDT), tail);
  }

  #bufferFor(q: number, slot: number): number {
    const bytes = this.habits.bufferKib * 1024;
    if (!this.habits.freshBuffers)
      return BUFFERS + (q * this.habits.rxSlots + slot) * bytes + this.habits.skew;
    const pool = 2048;
    this.#nextBuffer = (this.#nextBuffer + 1) % pool;
    return BUFFERS + this.#nextBuffer * bytes + this.habits.skew;
  }

  /** Adds one descriptor's bytes to the frame that is coming in. */
  #gather(q: number, slot: number, headerBytes: number, length: number): void {
    const { ram } = this.host;
    const header = HEADERS + (q * 4096 + slot) * HEADER_BYTES;
    const buffer = this.queues[q]!.slotBuffers[slot]!;
    this.#frame.set(ram.subarray(header, header + headerBytes), this.#frameBytes);
    this.#frame.set(ram.subarray(buffer, buffer + length), this.#frameBytes + headerBytes);
    this.#frameBytes += headerBytes + length;
    if (!this.habits.dummyWrites) return;
    this.#touch(buffer, length);
    if (headerBytes > 0) this.#touch(header, headerBytes);
  }

  /** A whole frame: the peer wrote its sequence number behind the headers, and a pattern after it. */
  #take(): void {
    const frame = this.#frame;
    const from = frame[12] === 0x08 ? IP_PAYLOAD : ETHERNET_PAYLOAD;
    const sequence = frame[from]! | (frame[from + 1]! << 8) | (frame[from + 2]! << 16);
    for (let i = from + 3; i < this.#frameBytes; i++) {
      if (frame[i] === ((sequence + i) & 0xff)) continue;
      this.damaged++;
      break;
    }
    this.#frameBytes = 0;
    this.received.push(sequence);
  }

  #store(word: number, value: number): void {
    this.host.words[word] = value;
    this.cpuDirty.add(word >>> 10);
  }

  #touch(address: number, bytes: number): void {
    for (let page = address >>> 12; page <= (address + bytes - 1) >>> 12; page++) this.cpuDirty.add(page);
  }
}

/** A frame that MiniDriver can check. `flow`: an IPv4 packet of that sender, so that a card spreads flows over queues. */
export function testFrame(target: string, sequence: number, bytes: number, flow?: number): Uint8Array {
  const frame = new Uint8Array(Math.max(60, bytes));
  frame.set(addressBytes(target), 0);
  frame.set([0x52, 0x54, 0, 0, 0, 0x99, 0x88, 0xb5], 6);
  let from = ETHERNET_PAYLOAD;
  if (flow !== undefined) {
    const length = frame.length - ETHERNET_PAYLOAD;
    frame.set([0x08, 0x00, 0x45, 0, length >> 8, length & 0xff, 0, 0, 0, 0, 64, 253, 0, 0], 12);
    frame.set([10, 0, 0, flow, 10, 0, 0, 2], 26);
    from = IP_PAYLOAD;
  }
  frame.set([sequence & 0xff, (sequence >> 8) & 0xff, (sequence >> 16) & 0xff], from);
  for (let i = from + 3; i < frame.length; i++) frame[i] = (sequence + i) & 0xff;
  return frame;
}

/** A broadcast frame from the guest. */
export function guestFrame(source: string, bytes: number): Uint8Array {
  const frame = testFrame('ff:ff:ff:ff:ff:ff', 0, bytes);
  frame.set(addressBytes(source), 6);
  return frame;
}

const addressBytes = (mac: string): number[] => mac.split(':').map((octet) => Number.parseInt(octet, 16));
