/**
 * The driver domain's own VF: a ring of receive and a ring of send descriptors in memory of its own, programmed as any VF
 * driver would, polled while there is traffic and armed for one interrupt before its owner sleeps.
 *
 *   memory:  [ receive ring | send ring | receive buffers | send buffers | large send buffers, and one to discard ]
 *
 *   send:    data                       one descriptor, its own buffer
 *            context, data              when the card is to finish a checksum, and the last context was another
 *            context, headers, payload  a large segment, for the card to cut
 */
import { type Bytes, bytesOf } from '../hardware/bytes.js';
import {
  DESCRIPTOR_BYTES,
  DESCTYPE,
  RX_ERROR,
  RX_STATUS,
  TX_COMMAND,
  TX_OPTION,
  TX_TYPE,
} from '../hardware/nic/descriptors.js';
import { DCTL_ENABLE, LINKS_UP, RX, SRRCTL_DROP_EN, TX, VF } from '../hardware/nic/offsets.js';
import { PAGE_BYTES } from '../hardware/units.js';
import type { CardOffload } from './card-offload.js';
import type { Uplink } from './uplink.js';

const SLOTS = 512;
const RING_BYTES = SLOTS * DESCRIPTOR_BYTES;
const KIB = 1024;
/** Receive buffers are given to the card in batches. */
const REFILL_BATCH = 16;
/** Descriptors that one send may take, and one that stays free. */
const ROOM = 4;
const LARGE_BUFFERS = 16;
/** 64 KiB of IP packet with its Ethernet header. */
const LARGE_BYTES = 66 * KIB;
const INSERT_CRC = 1 << 25;
const VECTOR_0 = 1;
const IVAR_VALID = 0x80;
const ENABLE_LOOKS = 2000;
const DATA = (TX_TYPE.data << 20) | TX_COMMAND.advanced | INSERT_CRC;
const LAST = TX_COMMAND.endOfPacket | TX_COMMAND.reportStatus;
/** What a send slot is followed by. */
const KEEPS = { nothing: 0, largeBuffer: 1 } as const;
const NO_CONTEXT = -1;

/** Registers of the VF: 32-bit accesses to its BARs. */
export interface VfRegisters {
  read32(bar: number, offset: number): number;
  write32(bar: number, offset: number, value: number): void;
}

/** The card did not do what its driver asked. */
export class UplinkError extends Error {
  override readonly name = 'UplinkError';
}

const bufferBytesFor = (frameBytes: number): number => Math.ceil(frameBytes / KIB) * KIB;

/** Memory that an uplink for frames of so many bytes needs. */
export const uplinkMemoryBytes = (frameBytes: number): number =>
  Math.ceil(
    (2 * RING_BYTES + 2 * SLOTS * bufferBytesFor(frameBytes) + (LARGE_BUFFERS + 1) * LARGE_BYTES) /
      PAGE_BYTES,
  ) * PAGE_BYTES;

export class VfUplink implements Uplink {
  readonly bytes: Bytes;
  readonly frameBytes: number;
  readonly largeBytes = LARGE_BYTES;
  receivedAt = 0;
  receivedIsVerified = false;
  readonly #bar: VfRegisters;
  readonly #words: Int32Array;
  readonly #bufferBytes: number;
  readonly #receiveBuffers = 2 * RING_BYTES;
  readonly #sendBuffers: number;
  readonly #largeBuffers: number;
  // receive: next slot to look at, next one to give to the card, how many are to be given
  #clean = 0;
  #posted = 0;
  #free = 0;
  // send: next slot to fill, next one to free, tail as the card knows it
  #sendNext = 0;
  #sendClean = 0;
  #sent = 0;
  readonly #keeps = new Uint8Array(SLOTS);
  /** What is sent now is not: see sendAt(). */
  #discards = false;
  #largeNext = 0;
  #largeInFlight = 0;
  #context0 = NO_CONTEXT;
  #context2 = 0;
  #context3 = 0;

  /** @param frameBytes longest frame without its checksum */
  constructor(bar: VfRegisters, memory: SharedArrayBuffer, frameBytes: number) {
    this.#bar = bar;
    this.bytes = bytesOf(new Uint8Array(memory));
    this.#words = new Int32Array(memory);
    this.frameBytes = frameBytes;
    this.#bufferBytes = bufferBytesFor(frameBytes);
    this.#sendBuffers = this.#receiveBuffers + SLOTS * this.#bufferBytes;
    this.#largeBuffers = this.#sendBuffers + SLOTS * this.#bufferBytes;
  }

  /** Programs the rings. @param pause between two looks at whether a queue is on. @throws UplinkError */
  start(pause: () => void): void {
    const write = (offset: number, value: number): void => this.#bar.write32(0, offset, value);
    for (const [block, ring] of [
      [VF.RX, 0],
      [VF.TX, RING_BYTES],
    ] as const) {
      write(block + RX.RDBAL, ring);
      write(block + RX.RDBAH, 0);
      write(block + RX.RDLEN, RING_BYTES);
      write(block + RX.RDH, 0);
      write(block + RX.RDT, 0);
    }
    write(VF.PSRTYPE, 0);
    write(VF.RX + RX.SRRCTL, (this.#bufferBytes / KIB) | (DESCTYPE.oneBuffer << 25) | SRRCTL_DROP_EN);
    for (const control of [VF.TX + TX.TXDCTL, VF.RX + RX.RXDCTL]) {
      write(control, DCTL_ENABLE);
      this.#awaitEnabled(control, pause);
    }
    for (let slot = 0; slot < SLOTS - 1; slot++) this.#post(slot);
    this.#posted = SLOTS - 1;
    write(VF.RX + RX.RDT, this.#posted);
    // one vector for both queues; it masks and clears itself when it fires
    write(VF.VTIVAR, IVAR_VALID | (IVAR_VALID << 8));
    write(VF.VTEIAC, VECTOR_0);
    write(VF.VTEIAM, VECTOR_0);
    write(VF.VTEITR, 0);
  }

  /** One interrupt at the next packet, received or sent. */
  arm(): void {
    this.#bar.write32(0, VF.VTEIMS, VECTOR_0);
  }

  disarm(): void {
    this.#bar.write32(0, VF.VTEIMC, VECTOR_0);
  }

  // --- send -----------------------------------------------------------------------------------------------------------

  sendAt(): number {
    this.#discards = !this.#hasRoom();
    if (this.#discards && this.#linkUp) return -1;
    // of a full ring, the slot that stays free
    return this.#sendBuffers + this.#sendNext * this.#bufferBytes;
  }

  sendLargeAt(): number {
    const hasRoom = this.#hasRoom();
    if (this.#largeInFlight === LARGE_BUFFERS) this.#cleanSent();
    this.#discards = !hasRoom || this.#largeInFlight === LARGE_BUFFERS;
    if (this.#discards && this.#linkUp) return -1;
    return this.#largeBuffers + (this.#discards ? LARGE_BUFFERS : this.#largeNext) * LARGE_BYTES;
  }

  /** Without a link nothing of a full ring ever leaves it: guests of this host must not wait for that. */
  get #linkUp(): boolean {
    return (this.#bar.read32(0, VF.LINKS) & LINKS_UP) !== 0;
  }

  send(length: number, offload: CardOffload | null): void {
    if (this.#discards) return;
    // the buffer belongs to the slot that was next when it was asked for
    const buffer = this.#sendBuffers + this.#sendNext * this.#bufferBytes;
    if (offload !== null) this.#useContext(offload);
    const options = offload === null ? 0 : TX_OPTION.checkContext | TX_OPTION.l4Checksum;
    this.#write(buffer, 0, length | DATA | LAST, options | (length << 14));
  }

  sendLarge(length: number, offload: CardOffload): void {
    if (this.#discards) return;
    const buffer = this.#largeBuffers + this.#largeNext * LARGE_BYTES;
    const { headerBytes } = offload;
    const payloadBytes = length - headerBytes;
    this.#useContext(offload);
    const command = DATA | TX_COMMAND.segment;
    const options = TX_OPTION.checkContext | TX_OPTION.ipChecksum | TX_OPTION.l4Checksum;
    this.#write(buffer, 0, headerBytes | command, options | (payloadBytes << 14));
    this.#keeps[this.#sendNext] = KEEPS.largeBuffer;
    this.#write(buffer + headerBytes, 0, payloadBytes | command | LAST, 0);
    this.#largeNext = (this.#largeNext + 1) % LARGE_BUFFERS;
    this.#largeInFlight++;
  }

  /** The card keeps the last context: it is sent again only when it changes. */
  #useContext({ context0, context2, context3 }: CardOffload): void {
    if (context0 === this.#context0 && context2 === this.#context2 && context3 === this.#context3) return;
    this.#context0 = context0;
    this.#context2 = context2;
    this.#context3 = context3;
    this.#write(context0, 0, context2 | (TX_TYPE.context << 20) | TX_COMMAND.advanced, context3);
  }

  #write(word0: number, word1: number, word2: number, word3: number): void {
    const word = (RING_BYTES + this.#sendNext * DESCRIPTOR_BYTES) >> 2;
    this.#words[word] = word0;
    this.#words[word + 1] = word1;
    this.#words[word + 2] = word2;
    Atomics.store(this.#words, word + 3, word3);
    this.#sendNext = (this.#sendNext + 1) % SLOTS;
  }

  #hasRoom(): boolean {
    if (this.#sendFree() < ROOM) this.#cleanSent();
    return this.#sendFree() >= ROOM;
  }

  #sendFree(): number {
    return (this.#sendClean - this.#sendNext - 1 + SLOTS) % SLOTS;
  }

  /** Only last descriptors report: what lies before a reported one is done too. */
  #cleanSent(): void {
    for (let slot = this.#sendClean; slot !== this.#sent; ) {
      const word = (RING_BYTES + slot * DESCRIPTOR_BYTES) >> 2;
      const next = (slot + 1) % SLOTS;
      if ((this.#words[word + 2]! & TX_COMMAND.reportStatus) === 0 && !this.#isDone(word)) {
        slot = next;
        continue;
      }
      if (!this.#isDone(word)) return;
      for (let done = this.#sendClean; done !== next; done = (done + 1) % SLOTS) {
        this.#largeInFlight -= this.#keeps[done]!;
        this.#keeps[done] = KEEPS.nothing;
      }
      this.#sendClean = next;
      slot = next;
    }
  }

  #isDone(word: number): boolean {
    return (Atomics.load(this.#words, word + 3) & TX_OPTION.done) !== 0;
  }

  // --- receive --------------------------------------------------------------------------------------------------------

  receive(): number {
    // the frame of the call before this one is done with
    this.#refill();
    const word = (this.#clean * DESCRIPTOR_BYTES) >> 2;
    const status = Atomics.load(this.#words, word + 2);
    if ((status & RX_STATUS.done) === 0) return -1;
    this.receivedAt = this.#receiveBuffers + this.#clean * this.#bufferBytes;
    this.receivedIsVerified =
      (status & (RX_STATUS.l4Checksum | RX_ERROR.l4Checksum)) === RX_STATUS.l4Checksum;
    const length = this.#words[word + 3]! & 0xffff;
    this.#clean = (this.#clean + 1) % SLOTS;
    this.#free++;
    return length;
  }

  flush(): void {
    if (this.#sendNext !== this.#sent) {
      this.#sent = this.#sendNext;
      this.#bar.write32(0, VF.TX + TX.TDT, this.#sent);
    }
    this.#refill();
  }

  /** Gives what was received back to the card. */
  #refill(): void {
    if (this.#free < REFILL_BATCH) return;
    while (this.#free > 0) {
      this.#post(this.#posted);
      this.#posted = (this.#posted + 1) % SLOTS;
      this.#free--;
    }
    this.#bar.write32(0, VF.RX + RX.RDT, this.#posted);
  }

  #post(slot: number): void {
    const word = (slot * DESCRIPTOR_BYTES) >> 2;
    this.#words[word] = this.#receiveBuffers + slot * this.#bufferBytes;
    this.#words[word + 1] = 0;
    this.#words[word + 2] = 0;
    Atomics.store(this.#words, word + 3, 0);
  }

  #awaitEnabled(control: number, pause: () => void): void {
    for (let look = 0; look < ENABLE_LOOKS; look++) {
      if ((this.#bar.read32(0, control) & DCTL_ENABLE) !== 0) return;
      pause();
    }
    throw new UplinkError("a queue of the driver domain's VF did not come up");
  }
}
