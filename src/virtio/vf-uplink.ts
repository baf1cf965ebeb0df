/**
 * The driver domain's own VF: a ring of receive and a ring of send descriptors in memory of its own, programmed as any VF
 * driver would, polled while there is traffic and armed for one interrupt before its owner sleeps.
 *
 *   memory:  [ receive ring | send ring | receive buffers | send buffers ]
 */
import { type Bytes, bytesOf } from '../hardware/bytes.js';
import {
  DESCRIPTOR_BYTES,
  DESCTYPE,
  RX_STATUS,
  TX_COMMAND,
  TX_OPTION,
  TX_TYPE,
} from '../hardware/nic/descriptors.js';
import { DCTL_ENABLE, RX, SRRCTL_DROP_EN, TX, VF } from '../hardware/nic/offsets.js';
import { PAGE_BYTES } from '../hardware/units.js';
import type { Uplink } from './software-switch.js';

const SLOTS = 512;
const RING_BYTES = SLOTS * DESCRIPTOR_BYTES;
const KIB = 1024;
/** Receive buffers are given to the card in batches. */
const REFILL_BATCH = 16;
const INSERT_CRC = 1 << 25;
const VECTOR_0 = 1;
const IVAR_VALID = 0x80;
const ENABLE_LOOKS = 2000;

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
  Math.ceil((2 * RING_BYTES + 2 * SLOTS * bufferBytesFor(frameBytes)) / PAGE_BYTES) * PAGE_BYTES;

export class VfUplink implements Uplink {
  readonly bytes: Bytes;
  readonly frameBytes: number;
  receivedAt = 0;
  readonly #bar: VfRegisters;
  readonly #words: Int32Array;
  readonly #bufferBytes: number;
  readonly #receiveBuffers = 2 * RING_BYTES;
  readonly #sendBuffers: number;
  #clean = 0;
  #posted = 0;
  #free = 0;
  #sendNext = 0;
  #sendClean = 0;
  #sent = 0;

  /** @param frameBytes longest frame without its checksum */
  constructor(bar: VfRegisters, memory: SharedArrayBuffer, frameBytes: number) {
    this.#bar = bar;
    this.bytes = bytesOf(new Uint8Array(memory));
    this.#words = new Int32Array(memory);
    this.frameBytes = frameBytes;
    this.#bufferBytes = bufferBytesFor(frameBytes);
    this.#sendBuffers = this.#receiveBuffers + SLOTS * this.#bufferBytes;
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

  sendAt(): number {
    const next = (this.#sendNext + 1) % SLOTS;
    if (next === this.#sendClean) {
      this.#cleanSent();
      if (next === this.#sendClean) return -1;
    }
    return this.#sendBuffers + this.#sendNext * this.#bufferBytes;
  }

  send(length: number): void {
    const word = (RING_BYTES + this.#sendNext * DESCRIPTOR_BYTES) >> 2;
    const command = TX_COMMAND.endOfPacket | TX_COMMAND.reportStatus | TX_COMMAND.advanced | INSERT_CRC;
    this.#words[word] = this.#sendBuffers + this.#sendNext * this.#bufferBytes;
    this.#words[word + 1] = 0;
    this.#words[word + 2] = length | (TX_TYPE.data << 20) | command;
    Atomics.store(this.#words, word + 3, length << 14);
    this.#sendNext = (this.#sendNext + 1) % SLOTS;
  }

  receive(): number {
    const word = (this.#clean * DESCRIPTOR_BYTES) >> 2;
    if (this.#free > 0) {
      // the frame of the call before this one is done with
      this.#refill();
    }
    if ((Atomics.load(this.#words, word + 2) & RX_STATUS.done) === 0) return -1;
    this.receivedAt = this.#receiveBuffers + this.#clean * this.#bufferBytes;
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
    if (this.#free >= REFILL_BATCH) this.#refill();
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

  #cleanSent(): void {
    while (this.#sendClean !== this.#sendNext) {
      const word = (RING_BYTES + this.#sendClean * DESCRIPTOR_BYTES) >> 2;
      if ((Atomics.load(this.#words, word + 3) & TX_OPTION.done) === 0) return;
      this.#sendClean = (this.#sendClean + 1) % SLOTS;
    }
  }

  #awaitEnabled(control: number, pause: () => void): void {
    for (let look = 0; look < ENABLE_LOOKS; look++) {
      if ((this.#bar.read32(0, control) & DCTL_ENABLE) !== 0) return;
      pause();
    }
    throw new UplinkError("a queue of the driver domain's VF did not come up");
  }
}
