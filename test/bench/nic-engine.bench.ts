/**
 * What a packet costs the card's thread: the engine alone, with a wire that hands frames from one prepared buffer and a
 * driver that refills in the same thread. The driver's and the wire's own time are in the figures.
 */

import { BytesCache, bytesOf, copyBytes } from '../../src/hardware/bytes.js';
import { createDomainHandle, IommuDomain } from '../../src/hardware/iommu/domain.js';
import { NicEngine } from '../../src/hardware/nic/engine.js';
import {
  DCTL_ENABLE,
  mpsarLoOffset,
  RAH_VALID,
  RX,
  rahOffset,
  ralOffset,
  rxQueueOffset,
  TX,
  txQueueOffset,
  VT_CTL,
  VT_CTL_REPLICATION,
  vfreOffset,
  vfteOffset,
} from '../../src/hardware/nic/offsets.js';
import { writeQueueControl } from '../../src/hardware/nic/queue-state.js';
import { CONFIG_WORDS, NIC_SHARED_BYTES, NicShared, REGION } from '../../src/hardware/nic/shared.js';
import { COMMAND_MASTER, PCI } from '../../src/hardware/pci/offsets.js';
import type { FrameSink, Wire } from '../../src/hardware/wire/wire.js';
import { type Benchmark, type BenchRow, rowOf } from '../../src/measure/benchmark.js';

const RUNS = 7;
const RUN_PACKETS = 400_000;
const WARM_UP_PACKETS = 200_000;
const RING_SLOTS = 512;
const RX_RING = 0x1_0000;
const TX_RING = 0x2_0000;
const RX_BUFFERS = 0x10_0000;
const TX_BUFFERS = 0x40_0000;
const RAM_BYTES = 8 * 1024 * 1024;

/** Hands the same few frames over and over, from one buffer; takes whatever is sent. */
class PreparedWire implements Wire {
  readonly linkUp = true;
  onWake: (() => void) | null = null;
  readonly stats = { rxFrames: 0, rxBytes: 0, txFrames: 0, txBytes: 0, txDropped: 0, rxDropped: 0 };
  readonly #bytes = new Uint8Array(65536);
  readonly #out = bytesOf(new Uint8Array(16384));
  readonly #cache = new BytesCache();
  readonly #frameBytes: number;
  #offset = 0;
  receives = true;

  constructor(frame: Uint8Array) {
    this.#frameBytes = frame.length;
    for (let at = 0; at + frame.length <= this.#bytes.length; at += frame.length) this.#bytes.set(frame, at);
  }

  receive(sink: FrameSink, budget: number): number {
    if (!this.receives) return 0;
    for (let taken = 0; taken < budget; taken++) {
      if (!sink(this.#bytes, this.#offset, this.#frameBytes)) return taken;
      this.#offset += this.#frameBytes;
      if (this.#offset + this.#frameBytes > this.#bytes.length) this.#offset = 0;
    }
    return budget;
  }

  /** Copies as a wire must, so that the figure has a whole way in it. */
  transmit(bytes: Uint8Array, offset: number, length: number): boolean {
    this.stats.txFrames++;
    copyBytes(this.#cache.wrap(bytes), offset, this.#out, 0, length);
    return true;
  }

  flush(): void {}

  async close(): Promise<void> {}
}

/** A UDP frame without a layer 4 checksum, as the traffic generator sends them. */
function udpFrame(length: number): Uint8Array {
  const frame = new Uint8Array(length);
  const view = new DataView(frame.buffer);
  frame.set([0x52, 0x54, 0, 0, 0, 1, 0x52, 0x54, 0, 0, 0, 9, 0x08, 0x00, 0x45]);
  view.setUint16(16, length - 14);
  frame[22] = 64;
  frame[23] = 17;
  frame.set([10, 0, 0, 9, 10, 0, 0, 1], 26);
  let sum = 0;
  for (let at = 14; at < 34; at += 2) sum += view.getUint16(at);
  view.setUint16(24, ~((sum & 0xffff) + (sum >>> 16)) & 0xffff);
  view.setUint16(34, 1000);
  view.setUint16(36, 9);
  view.setUint16(38, length - 34);
  return frame;
}

class Rig {
  readonly wire: PreparedWire;
  readonly engine: NicEngine;
  readonly #words: Int32Array;
  readonly #ring: Int32Array;
  readonly #frameBytes: number;
  #rxNext = 0;
  #txNext = 0;

  constructor(frameBytes: number) {
    this.#frameBytes = frameBytes;
    const frame = udpFrame(frameBytes);
    const shared = new NicShared({ sab: new SharedArrayBuffer(NIC_SHARED_BYTES), vfCount: 1 });
    this.#words = shared.words;
    const memory = new SharedArrayBuffer(RAM_BYTES);
    const handle = createDomainHandle(memory, [
      { iovaStart: 0, memoryOffset: 0, bytes: RAM_BYTES, writable: true },
    ]);
    this.#ring = new IommuDomain(handle).i32;
    this.wire = new PreparedWire(frame);
    const nothing = { deliver: () => undefined };
    this.engine = new NicEngine({
      shared,
      wire: this.wire,
      msi: nothing,
      clock: { nowNs: () => performance.now() * 1e6 },
    });
    this.#set(VT_CTL, VT_CTL_REPLICATION);
    this.#set(ralOffset(0), 0x5452);
    this.#set(rahOffset(0), 0x0100 | RAH_VALID);
    this.#set(mpsarLoOffset(0), 1);
    this.#set(vfreOffset(0), 1);
    this.#set(vfteOffset(0), 1);
    this.#words[REGION.config + 0 * CONFIG_WORDS + (PCI.COMMAND >> 2)] = COMMAND_MASTER;
    this.engine.attach(0, handle);
    const bytes = new Uint8Array(memory);
    for (let slot = 0; slot < RING_SLOTS; slot++) bytes.set(frame, TX_BUFFERS + slot * 2048);
    const rx = rxQueueOffset(0);
    this.#set(rx + RX.RDBAL, RX_RING);
    this.#set(rx + RX.RDLEN, RING_SLOTS * 16);
    this.#set(rx + RX.SRRCTL, 0x0200_0402);
    writeQueueControl(shared, 'rx', 0, DCTL_ENABLE);
    const tx = txQueueOffset(0);
    this.#set(tx + TX.TDBAL, TX_RING);
    this.#set(tx + TX.TDLEN, RING_SLOTS * 16);
    writeQueueControl(shared, 'tx', 0, DCTL_ENABLE);
    this.engine.step();
  }

  /** Refills what was received since, and steps; returns frames received. */
  receive(): number {
    const ring = this.#ring;
    const head = this.#words[(rxQueueOffset(0) + RX.RDH) >> 2]!;
    let tail = this.#words[(rxQueueOffset(0) + RX.RDT) >> 2]!;
    const last = (head + RING_SLOTS - 1) % RING_SLOTS;
    while (tail !== last) {
      const at = (RX_RING >> 2) + tail * 4;
      ring[at] = RX_BUFFERS + tail * 2048;
      ring[at + 1] = 0;
      tail = (tail + 1) % RING_SLOTS;
    }
    this.#set(rxQueueOffset(0) + RX.RDT, tail);
    this.engine.step();
    const now = this.#words[(rxQueueOffset(0) + RX.RDH) >> 2]!;
    const got = (now - this.#rxNext + RING_SLOTS) % RING_SLOTS;
    this.#rxNext = now;
    return got;
  }

  transmit(): number {
    const ring = this.#ring;
    for (let i = 0; i < 64; i++) {
      const at = (TX_RING >> 2) + this.#txNext * 4;
      ring[at] = TX_BUFFERS + this.#txNext * 2048;
      ring[at + 1] = 0;
      ring[at + 2] = 0x2b30_0000 | this.#frameBytes;
      ring[at + 3] = this.#frameBytes << 14;
      this.#txNext = (this.#txNext + 1) % RING_SLOTS;
    }
    this.#set(txQueueOffset(0) + TX.TDT, this.#txNext);
    this.engine.step();
    return 64;
  }

  #set(offset: number, value: number): void {
    this.#words[offset >> 2] = value;
  }
}

function nsPerPacket(once: () => number, packets: number): number {
  const startMs = performance.now();
  let done = 0;
  while (done < packets) done += once();
  return ((performance.now() - startMs) * 1e6) / done;
}

function measure(frameBytes: number, direction: 'receive' | 'transmit', goalNs: number): BenchRow {
  const rig = new Rig(frameBytes);
  rig.wire.receives = direction === 'receive';
  const once = direction === 'receive' ? () => rig.receive() : () => rig.transmit();
  nsPerPacket(once, WARM_UP_PACKETS);
  const samples = Array.from({ length: RUNS }, () => nsPerPacket(once, RUN_PACKETS));
  const what = direction === 'receive' ? 'wire -> ring' : 'ring -> wire';
  return rowOf(`${what}, ${frameBytes} B, ns per packet`, samples, { atMost: goalNs });
}

export const benchmark: Benchmark = {
  name: 'nic-engine',
  what: 'the card alone in one thread: ns per packet, driver refill and wire included',
  async run() {
    return [
      measure(60, 'receive', 150),
      measure(1500, 'receive', 400),
      measure(60, 'transmit', 150),
      measure(1500, 'transmit', 400),
    ];
  },
};
