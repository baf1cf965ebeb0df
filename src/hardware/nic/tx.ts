/**
 * The transmit half of the DMA engine: from a ring to finished frames.
 *
 *   context descriptor -> stored in REGION.txContext (hidden state that outlives a packet)
 *   data descriptors   -> gathered into the stage until EOP -> offloads, TSO, VLAN -> egress
 *                      -> write-back of those with RS (or the head's value, TDWBAL) -> truth -> TDH -> interrupt
 *
 * A chain whose EOP is not there yet is left alone and gathered anew next time, so that nothing of it has to be kept.
 * The head stays at a packet's first data descriptor until the packet is done.
 */

import { copyBytes } from '../bytes.js';
import { FAULT, type IommuDomain } from '../iommu/domain.js';
import { MAX_FRAME_BYTES } from '../wire/wire.js';
import {
  contextVlanTag,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_WORDS,
  MAX_PACKET_DESCRIPTORS,
  TX_COMMAND,
  TX_LENGTH_MASK,
  TX_OPTION,
  TX_TYPE,
  txContextIndex,
  txType,
} from './descriptors.js';
import { type Egress, HEADROOM_BYTES, STAGE_BYTES } from './egress.js';
import { insertChecksums } from './offload.js';
import { TX, txQueueOffset, VMVIR_ALWAYS, VMVIR_NEVER, vfteOffset, vmvirOffset } from './offsets.js';
import { ETHERNET_HEADER_BYTES } from './packet.js';
import { isBusMaster, QueueSet } from './queue-set.js';
import { areRequestsWaiting } from './queue-state.js';
import type { RateLimits } from './rate-limit.js';
import { type NicShared, QUEUE_COUNT, REGION } from './shared.js';
import { type Segmenter, TSO } from './tso.js';

/** Packets that one queue may send before the next queue's turn. */
const QUANTUM_PACKETS = 16;
const NO_VLAN = -1;
const HEAD_WRITE_BACK_ENABLE = 1;

/** How the look at one packet ended. */
const OUTCOME = { sent: 0, nothing: 1, stop: 2 } as const;
type Outcome = (typeof OUTCOME)[keyof typeof OUTCOME];

export class TxPath {
  readonly queues: QueueSet;
  readonly #words: Int32Array;
  readonly #domains: readonly (IommuDomain | null)[];
  readonly #egress: Egress;
  readonly #segmenter: Segmenter;
  readonly #limits: RateLimits;
  // queues that run, in no order; `#turn` is where the next step begins
  readonly #running = new Uint8Array(QUEUE_COUNT);
  #runningCount = 0;
  #turn = 0;
  // head write-back address of the queue that is served
  #headLow = 0;
  #headHigh = 0;
  // the context of the packet that is served, as its words 0, 2 and 3
  #context0 = 0;
  #context2 = 0;
  #context3 = 0;
  // results of #gather()
  #gatheredBytes = 0;
  #nextHead = 0;
  #frames = 0;
  #malformed = false;
  readonly #reportAt = new Int32Array(MAX_PACKET_DESCRIPTORS);
  #reports = 0;

  constructor(
    shared: NicShared,
    domains: readonly (IommuDomain | null)[],
    egress: Egress,
    segmenter: Segmenter,
    limits: RateLimits,
  ) {
    this.#words = shared.words;
    this.#domains = domains;
    this.#egress = egress;
    this.#segmenter = segmenter;
    this.#limits = limits;
    this.queues = new QueueSet(shared, domains, txQueueOffset, {
      base: TX.TDBAL,
      baseHigh: TX.TDBAH,
      length: TX.TDLEN,
      head: TX.TDH,
      tail: TX.TDT,
    });
  }

  configure(queue: number): void {
    this.queues.configure(queue);
    this.#listRunning();
  }

  stop(queue: number): void {
    this.queues.stop(queue);
    this.#listRunning();
  }

  /** Sends at most about `budget` frames, a quantum of each queue in turn. Returns frames and contexts dealt with. */
  step(budget: number): number {
    let done = 0;
    let idle = 0;
    while (this.#runningCount !== 0 && done < budget && idle < this.#runningCount) {
      if (this.#turn >= this.#runningCount) this.#turn = 0;
      const queue = this.#running[this.#turn++]!;
      const worked = this.#serve(queue, Math.min(QUANTUM_PACKETS, budget - done));
      if (worked === 0) idle++;
      else idle = 0;
      done += worked;
    }
    return done;
  }

  #listRunning(): void {
    let count = 0;
    for (let queue = 0; queue < QUEUE_COUNT; queue++) {
      if (this.queues.count[queue] !== 0) this.#running[count++] = queue;
    }
    this.#runningCount = count;
  }

  #serve(queue: number, limit: number): number {
    const pool = queue >> 1;
    const words = this.#words;
    const queues = this.queues;
    const tail = words[queues.tailWord[queue]!]!;
    if (tail === queues.head[queue] || tail < 0 || tail >= queues.count[queue]!) return 0;
    if (((words[vfteOffset(pool >> 5) >> 2]! >>> (pool & 31)) & 1) === 0 || !isBusMaster(words, pool))
      return 0;
    const domain = this.#domains[pool]!;
    let done = 0;
    const block = txQueueOffset(queue);
    while (
      done < limit &&
      queues.head[queue] !== tail &&
      this.#limits.mayTransmit(queue) &&
      !this.#egress.isPaused
    ) {
      this.#headLow = words[(block + TX.TDWBAL) >> 2]!;
      this.#headHigh = words[(block + TX.TDWBAH) >> 2]!;
      // some queue is asked to stop: tail and address may be of a ring that is not configured yet
      if (areRequestsWaiting(words)) break;
      const outcome = this.#serveOne(queue, domain, tail);
      if (outcome === OUTCOME.nothing) break;
      if (outcome === OUTCOME.stop) {
        this.stop(queue);
        break;
      }
      done += this.#frames;
    }
    return done;
  }

  /** One context descriptor or one packet. */
  #serveOne(queue: number, domain: IommuDomain, tail: number): Outcome {
    const queues = this.queues;
    const head = queues.head[queue]!;
    const at = (queues.base[queue]! + head * DESCRIPTOR_BYTES) >>> 2;
    domain.beforeRead(at * 4, DESCRIPTOR_BYTES);
    const command = domain.i32[at + 2]!;
    this.#frames = 1;
    // legacy descriptors are not made: no driver of this card uses them
    if ((command & TX_COMMAND.advanced) === 0) return OUTCOME.stop;
    if (txType(command) === TX_TYPE.context) {
      if (!this.#storeContext(queue, domain.i32, at)) return OUTCOME.stop;
      this.#moveHead(queue, head + 1 === queues.count[queue] ? 0 : head + 1);
      return OUTCOME.sent;
    }
    const gathered = this.#gather(queue, domain, head, tail);
    if (gathered !== OUTCOME.sent) return gathered;
    const options = domain.i32[at + 3]!;
    this.#readContext(queue, options);
    // a reset in the middle of the packet cleared the context; what it stops is not sent
    if (areRequestsWaiting(this.#words)) return OUTCOME.nothing;
    if (!this.#malformed && !this.#emit(queue, command, options)) return OUTCOME.nothing;
    this.#complete(queue, domain);
    return OUTCOME.sent;
  }

  #storeContext(queue: number, ring: Int32Array, at: number): boolean {
    const index = txContextIndex(ring[at + 3]!);
    if (index > 1) return false;
    const context = REGION.txContext + (queue * 2 + index) * 4;
    for (let i = 0; i < DESCRIPTOR_WORDS; i++) this.#words[context + i] = ring[at + i]!;
    return true;
  }

  /** Copies a packet's buffers into the stage. `sent`: complete; `nothing`: no EOP before the tail. */
  #gather(queue: number, domain: IommuDomain, first: number, tail: number): Outcome {
    const ring = domain.i32;
    const base = this.queues.base[queue]! >>> 2;
    const count = this.queues.count[queue]!;
    let head = first;
    let length = 0;
    this.#reports = 0;
    this.#malformed = false;
    for (let i = 0; i < MAX_PACKET_DESCRIPTORS && head !== tail; i++) {
      const at = base + head * DESCRIPTOR_WORDS;
      domain.beforeRead(at * 4, DESCRIPTOR_BYTES);
      const command = ring[at + 2]!;
      if ((command & TX_COMMAND.advanced) === 0 || txType(command) !== TX_TYPE.data) return OUTCOME.stop;
      const bytes = command & TX_LENGTH_MASK;
      // the frame is dropped, but its descriptors are walked to the end so that the ring goes on
      if (bytes === 0 || HEADROOM_BYTES + length + bytes > STAGE_BYTES) this.#malformed = true;
      if (!this.#malformed) {
        const source = domain.translate(ring[at]!, ring[at + 1]!, bytes, false);
        // a read that the IOMMU refuses hangs the queue until the driver resets it
        if (source === FAULT) return OUTCOME.stop;
        domain.beforeRead(source, bytes);
        copyBytes(domain, source, this.#egress.stage, HEADROOM_BYTES + length, bytes);
        length += bytes;
      }
      if ((command & TX_COMMAND.reportStatus) !== 0) this.#reportAt[this.#reports++] = at;
      head = head + 1 === count ? 0 : head + 1;
      if ((command & TX_COMMAND.endOfPacket) !== 0) {
        domain.countRead(length);
        this.#gatheredBytes = length;
        this.#nextHead = head;
        return OUTCOME.sent;
      }
    }
    return head === tail ? OUTCOME.nothing : OUTCOME.stop;
  }

  #readContext(queue: number, options: number): void {
    const words = this.#words;
    const context = REGION.txContext + (queue * 2 + (txContextIndex(options) & 1)) * 4;
    this.#context0 = words[context]!;
    this.#context2 = words[context + 2]!;
    this.#context3 = words[context + 3]!;
  }

  /** Offloads, then the way out. False: the packet has to wait. */
  #emit(queue: number, command: number, options: number): boolean {
    const length = this.#gatheredBytes;
    if (length < ETHERNET_HEADER_BYTES) return true;
    const vlanTag = this.#vlanTag(queue >> 1, command, this.#context0);
    if ((command & TX_COMMAND.segment) !== 0) {
      const result = this.#segmenter.send(
        queue,
        HEADROOM_BYTES,
        length,
        this.#context0,
        this.#context2,
        this.#context3,
        vlanTag,
      );
      if (result === TSO.sent) this.#frames = this.#segmenter.frames;
      return result !== TSO.hold;
    }
    if (length > MAX_FRAME_BYTES) return true;
    if ((options & (TX_OPTION.ipChecksum | TX_OPTION.l4Checksum)) !== 0) {
      const stage = this.#egress.stage;
      const fits = insertChecksums(stage, HEADROOM_BYTES, length, options, this.#context0, this.#context2);
      if (!fits) return true;
    }
    const start = vlanTag === NO_VLAN ? HEADROOM_BYTES : this.#egress.insertVlan(HEADROOM_BYTES, vlanTag);
    return this.#egress.send(queue, start, length + (HEADROOM_BYTES - start));
  }

  /** The PF's default tag wins over what the descriptor asks for. */
  #vlanTag(pool: number, command: number, context0: number): number {
    const vmvir = this.#words[vmvirOffset(pool) >> 2]!;
    if ((vmvir & VMVIR_ALWAYS) !== 0) return vmvir & 0xffff;
    if ((vmvir & VMVIR_NEVER) !== 0 || (command & TX_COMMAND.insertVlan) === 0) return NO_VLAN;
    return contextVlanTag(context0);
  }

  #complete(queue: number, domain: IommuDomain): void {
    if (this.#reports !== 0) {
      if ((this.#headLow & HEAD_WRITE_BACK_ENABLE) === 0) this.#writeBack(domain);
      else this.#writeHead(domain, this.#headLow & ~3, this.#headHigh);
      this.queues.notePending(queue);
    }
    this.#moveHead(queue, this.#nextHead);
  }

  /** Bytes 0-11 are reserved after completion: what the driver wrote there is gone. */
  #writeBack(domain: IommuDomain): void {
    for (let i = 0; i < this.#reports; i++) {
      domain.writeDescriptor(this.#reportAt[i]! << 2, 0, 0, 0, TX_OPTION.done);
    }
  }

  #writeHead(domain: IommuDomain, addressLow: number, addressHigh: number): void {
    const target = domain.translate(addressLow, addressHigh, 4, true);
    if (target === FAULT) return;
    domain.writeWord(target, this.#nextHead);
  }

  #moveHead(queue: number, head: number): void {
    this.queues.head[queue] = head;
    this.#words[this.queues.headWord[queue]!] = head;
  }
}
