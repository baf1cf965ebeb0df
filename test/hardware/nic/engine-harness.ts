/**
 * A card without its register side, a driver reduced to what a ring needs, and a wire that is two arrays: what the
 * engine's tests stand on.
 */
import { createDomainHandle, IommuDomain } from '../../../src/hardware/iommu/domain.js';
import type { DomainHandle } from '../../../src/hardware/iommu/handle.js';
import { NicEngine, type NicEngineOptions } from '../../../src/hardware/nic/engine.js';
import {
  DCTL_ENABLE,
  GPIE,
  GPIE_EIAME,
  MAXFRS,
  mpsarHiOffset,
  mpsarLoOffset,
  RAH_VALID,
  RX,
  rahOffset,
  ralOffset,
  rxQueueOffset,
  TX,
  txQueueOffset,
  VMOLR_AUPE,
  VMOLR_BAM,
  VT_CTL,
  VT_CTL_NO_DEFAULT_POOL,
  VT_CTL_REPLICATION,
  vfreOffset,
  vfteOffset,
  vmolrOffset,
  vteimsOffset,
  vtivarOffset,
} from '../../../src/hardware/nic/offsets.js';
import { writeQueueControl, zeroQueueHead } from '../../../src/hardware/nic/queue-state.js';
import {
  CONFIG_WORDS,
  CONTROL,
  NIC_SHARED_BYTES,
  NicShared,
  REGION,
} from '../../../src/hardware/nic/shared.js';
import { COMMAND_MASTER, MSIX_ENABLE, PCI } from '../../../src/hardware/pci/offsets.js';
import type { FrameSink, Wire, WireStats } from '../../../src/hardware/wire/wire.js';

export const RAM_BYTES = 4 * 1024 * 1024;
const BEHIND_RAM_BYTES = 65536;
const NOTHING = Buffer.alloc(BEHIND_RAM_BYTES);

/** What it is given arrives; what is sent is kept. */
export class ArrayWire implements Wire {
  readonly arriving: Uint8Array[] = [];
  readonly sent: Uint8Array[] = [];
  linkUp = true;
  paused = false;
  onWake: (() => void) | null = null;
  readonly stats: WireStats = {
    rxFrames: 0,
    rxBytes: 0,
    txFrames: 0,
    txBytes: 0,
    txDropped: 0,
    rxDropped: 0,
  };

  receive(sink: FrameSink, budget: number): number {
    let taken = 0;
    while (taken < budget && this.arriving.length > 0) {
      const frame = this.arriving[0]!;
      if (!sink(frame, 0, frame.length)) break;
      this.arriving.shift();
      taken++;
    }
    return taken;
  }

  transmit(bytes: Uint8Array, offset: number, length: number): boolean {
    this.sent.push(bytes.slice(offset, offset + length));
    return true;
  }

  flush(): void {}

  async close(): Promise<void> {}
}

export interface Message {
  readonly requester: number;
  readonly data: number;
}

export class Card {
  readonly shared: NicShared;
  readonly wire = new ArrayWire();
  readonly messages: Message[] = [];
  onMessage: (() => void) | null = null;
  readonly engine: NicEngine;
  nowNs = 1e9;

  constructor(openDomain?: NicEngineOptions['openDomain']) {
    const sab = new SharedArrayBuffer(NIC_SHARED_BYTES);
    this.shared = new NicShared({ sab, vfCount: 63 });
    this.set(VT_CTL, VT_CTL_NO_DEFAULT_POOL | VT_CTL_REPLICATION);
    this.set(GPIE, GPIE_EIAME);
    this.set(MAXFRS, 1518 << 16);
    this.engine = new NicEngine({
      shared: this.shared,
      wire: this.wire,
      msi: {
        deliver: (requester, _low, _high, data) => {
          this.messages.push({ requester, data });
          this.onMessage?.();
        },
      },
      clock: { nowNs: () => this.nowNs },
      ...(openDomain && { openDomain }),
    });
  }

  get(offset: number): number {
    return this.shared.words[offset >> 2]!;
  }

  /** A register write that may be a filter: the engine decodes again. */
  set(offset: number, value: number): void {
    this.shared.words[offset >> 2] = value;
    Atomics.add(this.shared.words, REGION.control + CONTROL.filterVersion, 1);
  }

  setBit(offset: number, bit: number): void {
    this.set(offset, this.get(offset) | bit);
  }

  /** Steps until nothing happens any more. */
  run(): void {
    for (let i = 0; i < 10_000; i++) if (this.engine.step() === 0) return;
    throw new Error('the engine never came to rest');
  }
}

export const macOf = (pool: number): Uint8Array => Uint8Array.of(0x52, 0x54, 0, 0, 0, pool + 1);
export const PEER_MAC = Uint8Array.of(0x52, 0x54, 0, 0, 0xff, 0x01);

/** A pool with 4 MiB of memory, its address in the switch, and rings wherever a test wants them. */
export class Pool {
  readonly card: Card;
  readonly index: number;
  readonly handle: DomainHandle;
  readonly memory: IommuDomain;

  constructor(card: Card, index: number, options: { dirtyBits?: boolean } = {}) {
    this.card = card;
    this.index = index;
    const memory = new SharedArrayBuffer(RAM_BYTES + BEHIND_RAM_BYTES);
    this.handle = createDomainHandle(
      memory,
      [{ iovaStart: 0, memoryOffset: 0, bytes: RAM_BYTES, writable: true }],
      options,
    );
    this.memory = new IommuDomain(this.handle);
    const mac = macOf(index);
    card.set(ralOffset(index), mac[0]! | (mac[1]! << 8) | (mac[2]! << 16) | (mac[3]! << 24));
    card.set(rahOffset(index), mac[4]! | (mac[5]! << 8) | RAH_VALID);
    card.setBit(index < 32 ? mpsarLoOffset(index) : mpsarHiOffset(index), 1 << (index & 31));
    card.set(vmolrOffset(index), VMOLR_BAM | VMOLR_AUPE);
    card.setBit(vfreOffset(index >> 5), 1 << (index & 31));
    card.setBit(vfteOffset(index >> 5), 1 << (index & 31));
    const config = REGION.config + index * CONFIG_WORDS;
    card.shared.words[config + (PCI.COMMAND >> 2)] = COMMAND_MASTER;
    card.shared.words[config + (PCI.MSIX >> 2)] = MSIX_ENABLE;
    card.engine.attach(index, this.handle);
  }

  /** Vector 0 for queue pair 0, vector 1 for pair 1, all unmasked; message data = vector. */
  enableInterrupts(): void {
    const words = this.card.shared.words;
    words[vtivarOffset(this.index) >> 2] = 0x81818080 | 0;
    words[vteimsOffset(this.index) >> 2] = 7;
    for (let vector = 0; vector < 3; vector++) {
      words[REGION.msixTable + this.index * 12 + vector * 4 + 2] = vector;
    }
  }

  /** Nothing was written behind the guest's RAM. */
  get isContained(): boolean {
    return Buffer.from(this.handle.memory, RAM_BYTES).equals(NOTHING);
  }

  truthPages(): number[] {
    const truth = new Uint8Array(this.handle.truth);
    return [...truth.keys()].filter((page) => truth[page] !== 0);
  }
}

export interface RingOptions {
  /** Which of the pool's two queues. */
  queue?: number;
  base?: number;
  count?: number;
}

abstract class Ring {
  readonly pool: Pool;
  readonly queue: number;
  readonly base: number;
  readonly count: number;
  readonly block: number;
  tail = 0;

  constructor(pool: Pool, options: RingOptions, block: (queue: number) => number, defaultBase: number) {
    this.pool = pool;
    this.queue = pool.index * 2 + (options.queue ?? 0);
    this.base = options.base ?? defaultBase + (options.queue ?? 0) * 0x1_0000;
    this.count = options.count ?? 64;
    this.block = block(this.queue);
  }

  get card(): Card {
    return this.pool.card;
  }

  word(slot: number, dword: number): number {
    return this.pool.memory.view.getInt32(this.base + slot * 16 + dword * 4, true);
  }

  write(slot: number, dwords: readonly number[]): void {
    for (let i = 0; i < 4; i++)
      this.pool.memory.view.setInt32(this.base + slot * 16 + i * 4, dwords[i]! | 0, true);
  }
}

/** An Rx ring whose slot i has its buffer at `buffers + i * 2048`. */
export class RxRing extends Ring {
  readonly buffers: number;

  constructor(
    pool: Pool,
    options: RingOptions & { buffers?: number; srrctl?: number; rxdctl?: number } = {},
  ) {
    super(pool, options, rxQueueOffset, 0x1_0000);
    this.buffers = options.buffers ?? 0x10_0000 + (options.queue ?? 0) * 0x8_0000;
    const card = pool.card;
    card.shared.words[(this.block + RX.RDBAL) >> 2] = this.base;
    card.shared.words[(this.block + RX.RDLEN) >> 2] = this.count * 16;
    card.shared.words[(this.block + RX.SRRCTL) >> 2] = options.srrctl ?? 0x0200_0402;
    this.enable(options.rxdctl ?? 0);
  }

  /** Off and on again without a pause, as the stock driver does it. */
  enable(rxdctl = 0): void {
    this.disable();
    zeroQueueHead(this.card.shared, 'rx', this.queue);
    writeQueueControl(this.card.shared, 'rx', this.queue, rxdctl | DCTL_ENABLE);
    this.card.engine.step();
  }

  disable(): void {
    writeQueueControl(this.card.shared, 'rx', this.queue, 0);
  }

  bufferOf(slot: number): number {
    return this.buffers + slot * 2048;
  }

  /** Posts `slots` buffers from the tail on. */
  post(slots: number): void {
    for (let i = 0; i < slots; i++) {
      this.write(this.tail, [this.bufferOf(this.tail), 0, 0, 0]);
      this.tail = (this.tail + 1) % this.count;
    }
    this.setTail(this.tail);
  }

  setTail(tail: number): void {
    this.card.shared.words[(this.block + RX.RDT) >> 2] = tail;
    this.card.shared.ring();
  }

  get head(): number {
    return this.card.get(this.block + RX.RDH);
  }

  /** Bytes of a completed slot's packet buffer. */
  payload(slot: number): Uint8Array {
    const length = this.word(slot, 3) & 0xffff;
    return this.pool.memory.u8.slice(this.bufferOf(slot), this.bufferOf(slot) + length);
  }

  status(slot: number): number {
    return this.word(slot, 2);
  }
}

export const TXD_EOP_RS = 0x2900_0000 | (3 << 20) | (1 << 25) | (1 << 29);

export class TxRing extends Ring {
  #nextBuffer: number;

  constructor(pool: Pool, options: RingOptions = {}) {
    super(pool, options, txQueueOffset, 0x4_0000);
    this.#nextBuffer = 0x20_0000 + (options.queue ?? 0) * 0x8_0000;
    const card = pool.card;
    card.shared.words[(this.block + TX.TDBAL) >> 2] = this.base;
    card.shared.words[(this.block + TX.TDLEN) >> 2] = this.count * 16;
    this.enable();
  }

  /** Off and on again without a pause, as the stock driver does it. */
  enable(): void {
    writeQueueControl(this.card.shared, 'tx', this.queue, 0);
    zeroQueueHead(this.card.shared, 'tx', this.queue);
    writeQueueControl(this.card.shared, 'tx', this.queue, DCTL_ENABLE);
    this.card.engine.step();
  }

  /** Puts bytes into guest memory and returns where. */
  stash(bytes: Uint8Array): number {
    const at = this.#nextBuffer;
    this.pool.memory.u8.set(bytes, at);
    this.#nextBuffer += (bytes.length + 63) & ~63;
    return at;
  }

  push(dwords: readonly number[]): number {
    const slot = this.tail;
    this.write(slot, dwords);
    this.tail = (this.tail + 1) % this.count;
    return slot;
  }

  /** One packet in one descriptor. Returns its slot. */
  pushFrame(frame: Uint8Array, command = TXD_EOP_RS, options = frame.length << 14): number {
    return this.push([this.stash(frame), 0, command | frame.length, options]);
  }

  ring(): void {
    this.setTail(this.tail);
  }

  setTail(tail: number): void {
    this.card.shared.words[(this.block + TX.TDT) >> 2] = tail;
    this.card.shared.ring();
  }

  get head(): number {
    return this.card.get(this.block + TX.TDH);
  }

  isDone(slot: number): boolean {
    return (this.word(slot, 3) & 1) !== 0;
  }
}

/** An Ethernet frame of `length` bytes with a recognisable filling. */
export function frameOf(
  destination: Uint8Array,
  source: Uint8Array,
  length = 60,
  seed = 1,
  etherType = 0x88b5,
): Uint8Array {
  const frame = new Uint8Array(length);
  frame.set(destination, 0);
  frame.set(source, 6);
  frame[12] = etherType >> 8;
  frame[13] = etherType & 0xff;
  for (let i = 14; i < length; i++) frame[i] = (i * 7 + seed * 13) & 0xff;
  return frame;
}

/** Lengths from 60 to 1499 that never repeat soon. */
export const variedLength = (index: number): number => 60 + ((index * 7919) % 1440);
