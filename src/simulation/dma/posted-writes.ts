/**
 * A VF's DMA writes as a PCIe bus carries them: posted, cut into packets, on their way for a while.
 *
 *   engine: write(bytes) --queue, in order--> chunk by chunk, later --> memory, truth, dirty bits
 *   interrupt message: after(deliver)  --same queue, behind the writes before it
 *   register read:     landAll()       the read's completion pushes every posted write before it
 *   device reads:      beforeRead(), landOverlapping()
 *
 * No chunk crosses a page (as no PCIe packet does), a descriptor is whole. A page's truth is marked when the bytes are
 * there, never before: who copied the page in between holds a torn copy, and the mark tells.
 */
import { type Bytes, bytesOf } from '../../hardware/bytes.js';
import { IommuDomain } from '../../hardware/iommu/domain.js';
import type { DomainHandle } from '../../hardware/iommu/handle.js';
import { PAGE_BYTES, PAGE_SHIFT } from '../../hardware/units.js';
import type { Choices } from '../clockwork/choices.js';
import type { HostTime } from '../clockwork/host-time.js';
import type { Scheduler } from '../clockwork/scheduler.js';
import { type BusTiming, drawBusTiming } from './bus-timing.js';
import { PostedQueue } from './posted-queue.js';

export interface PostedDomainOptions {
  readonly scheduler: Scheduler;
  readonly choices: Choices;
  readonly host: HostTime;
  readonly timing?: Partial<BusTiming>;
}

export class PostedDomain extends IommuDomain {
  readonly #scheduler: Scheduler;
  readonly #choices: Choices;
  readonly #timing: BusTiming;
  readonly #queue = new PostedQueue();
  readonly #host: HostTime;
  /** A descriptor is one packet on the bus: made here, posted whole. */
  readonly #words = new Int32Array(4);
  readonly #wordBytes = bytesOf(new Uint8Array(this.#words.buffer));
  /** When the bus has carried everything that was posted. */
  #busyUntilNs = 0;
  /** What landed and is not in the event log yet. */
  #landedPage = 0;
  #landedBytes = 0;
  /** A landing is due. */
  #armed = false;

  constructor(handle: DomainHandle, options: PostedDomainOptions) {
    super(handle);
    this.#scheduler = options.scheduler;
    this.#choices = options.choices;
    this.#timing = { ...drawBusTiming(options.choices), ...options.timing };
    this.#host = options.host;
  }

  /** Writes that memory has not taken yet, in chunks, and messages behind them. */
  get pendingChunks(): number {
    return this.#queue.size;
  }

  get pendingBytes(): number {
    return this.#queue.pendingBytes;
  }

  override beforeRead(offset: number, bytes: number): void {
    this.landOverlapping(offset, bytes);
  }

  override write(offset: number, from: Bytes, fromOffset: number, length: number): void {
    const { minChunkBytes, maxChunkBytes } = this.#timing;
    const startNs = this.#begin(from, fromOffset, length);
    for (let done = 0; done < length; ) {
      const toPageEnd = PAGE_BYTES - ((offset + done) % PAGE_BYTES);
      const chunk = Math.min(length - done, toPageEnd, this.#choices.between(minChunkBytes, maxChunkBytes));
      this.#queue.add(offset + done, chunk, this.#carry(chunk, startNs));
      done += chunk;
    }
    this.#arm();
  }

  override writeDescriptor(offset: number, word0: number, word1: number, word2: number, word3: number): void {
    this.#words[0] = word0;
    this.#words[1] = word1;
    this.#words[2] = word2;
    this.#words[3] = word3;
    this.#postWords(offset, 16);
  }

  override writeDescriptorEnd(offset: number, word2: number, word3: number): void {
    this.#words[0] = word2;
    this.#words[1] = word3;
    this.#postWords(offset + 8, 8);
  }

  override writeWord(offset: number, value: number): void {
    this.#words[0] = value;
    this.#postWords(offset, 4);
  }

  /** What the device sends behind its writes: an interrupt message must not overtake them. */
  after(deliver: () => void): void {
    this.#queue.addMessage(deliver, this.#carry(0, this.#startNs()));
    this.#arm();
  }

  /** Everything posted so far is in memory when this returns. */
  landAll(): void {
    this.#land(this.#queue.size);
  }

  /** So is everything that overlaps these bytes, and what was posted before it. */
  landOverlapping(offset: number, bytes: number): void {
    if (this.#queue.size !== 0) this.#land(this.#queue.entriesOver(offset, bytes));
  }

  /** The function was detached, or its machine is gone: nothing lands any more. */
  close(): void {
    this.#queue.clear();
  }

  #startNs(): number {
    const { latencyNs, jitterNs, holdChance, maxHoldNs } = this.#timing;
    const held = this.#choices.chance(holdChance) ? this.#choices.int(maxHoldNs) : 0;
    return this.#scheduler.nowNs() + latencyNs + this.#choices.int(jitterNs + 1) + held;
  }

  /** When `bytes` that may go from `startNs` on have been carried: the bus keeps the order. */
  #carry(bytes: number, startNs: number): number {
    this.#busyUntilNs = Math.max(this.#busyUntilNs, startNs) + bytes / this.#timing.bytesPerNs;
    return this.#busyUntilNs;
  }

  /** One packet on the bus. */
  #postWords(offset: number, bytes: number): void {
    const startNs = this.#begin(this.#wordBytes, 0, bytes);
    this.#queue.add(offset, bytes, this.#carry(bytes, startNs));
    this.#arm();
  }

  /** Takes the bytes over, once there is room for them. Returns when the first may be carried. */
  #begin(from: Bytes, offset: number, length: number): number {
    while (this.#queue.size !== 0 && this.#queue.pendingBytes + length > this.#timing.maxPendingBytes) {
      this.#land(1);
    }
    this.#queue.keep(from, offset, length);
    return this.#startNs();
  }

  #arm(): void {
    if (this.#armed || this.#queue.size === 0) return;
    this.#armed = true;
    // a few chunks land together: fewer events, and still any prefix of a frame may be all that is there
    const batch = Math.min(this.#queue.size, 1 + this.#choices.int(this.#timing.maxLandedAtOnce));
    const nowNs = this.#scheduler.nowNs();
    const inNs = Math.max(0, Math.ceil(this.#queue.dueAt(batch - 1)) - nowNs);
    this.#scheduler.atHardware(inNs, 'dma', this.#landDue, this.#host);
  }

  readonly #landDue = (): void => {
    this.#armed = false;
    const nowNs = this.#scheduler.nowNs();
    let due = 0;
    while (this.#queue.dueAt(due) <= nowNs) due++;
    this.#land(due);
    this.#arm();
  };

  #land(entries: number): void {
    if (entries === 0) return;
    this.#queue.land(entries, this, this.#landed);
    this.#logLanded();
  }

  readonly #landed = (target: number, length: number): void => {
    this.markWritten(target, length);
    const page = target >>> PAGE_SHIFT;
    if (page !== this.#landedPage) this.#logLanded();
    this.#landedPage = page;
    this.#landedBytes += length;
  };

  /** One event for what landed together in one page. */
  #logLanded(): void {
    if (this.#landedBytes === 0) return;
    const { log } = this.#scheduler;
    const nowNs = this.#scheduler.nowNs();
    log.add(
      nowNs,
      this.#host.hardwareActor,
      'chunk',
      this.#landedPage,
      this.#landedBytes,
      this.#queue.pendingBytes,
    );
    this.#landedBytes = 0;
  }
}
