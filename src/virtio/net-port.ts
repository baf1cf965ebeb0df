/**
 * One guest's network device as the backend serves it, turn by turn:
 *
 *   enter (lock, look at the queues) -> transmit / deliver ... -> leave (publish, interrupt, unlock)
 *
 * A device that is not set up, or whose rings made no sense, takes and gives nothing.
 */
import { type Bytes, copyBytes } from '../hardware/bytes.js';
import { blockThread, type WordWait } from '../hardware/clock.js';
import type { MsiSink } from '../hardware/pci/msi.js';
import { COMMAND_MASTER, PCI } from '../hardware/pci/offsets.js';
import { DeviceWords, STAT, type VirtioNetHandle, WORD } from './device-words.js';
import { BrokenRingError, GuestMemory } from './guest-memory.js';
import { raiseVector } from './msix.js';
import { NetHeader } from './net-header.js';
import { FEATURE, ISR, NET_HEADER_BYTES, QUEUE, STATUS } from './spec.js';
import { Virtqueue } from './virtqueue.js';

/** Longest frame that a guest may hand over: a large segment of 64 KiB with its headers. */
export const MAX_FRAME_BYTES = 65_536 + 64;
/** copyBytes takes no more at once. */
const COPY_BYTES = 32_768;
const ETHERNET_HEADER_BYTES = 14;
const NO_ROOM = -1;
/**
 * Tries at a lock that somebody else has. His turn takes microseconds, but on a loaded host his thread may be away for long,
 * and one who looks for work takes the lock many times between two looks: as long as that, a frame is not given up.
 */
const LOCK_TRIES = 1000;
const LOCK_WAIT_MS = 1;
const READY = STATUS.driverOk | STATUS.featuresOk;

/** Where transmitted frames go. */
export interface FrameTaker {
  /** Makes room for the next frame: `roomBytes` from `offset` on. False: none now. @param large to be segmented */
  room(large: boolean): boolean;
  readonly into: Bytes;
  readonly offset: number;
  readonly roomBytes: number;
  /** It lies there now. */
  take(from: NetPort, header: NetHeader, length: number): void;
}

export class NetPort {
  readonly words: DeviceWords;
  /** Its server calls listen() before it sleeps: until then a guest that sends need not ring. */
  listens = false;
  readonly #memory: GuestMemory;
  readonly #msi: MsiSink;
  readonly #receive: Virtqueue;
  readonly #transmit: Virtqueue;
  readonly #header = new NetHeader();
  readonly #outgoing = new NetHeader();
  /** Bytes written into each buffer of a frame that takes several. */
  readonly #parts: number[] = [];
  #entered = false;
  /** Its lock was waited for in vain: it is tried once, until it is free again. */
  #isStuck = false;
  #receiveOpen = false;
  #transmitOpen = false;
  #features = 0;
  /** False: the VM is not this host's to serve, yet or any more. */
  #serving: boolean;

  constructor(handle: VirtioNetHandle, msi: MsiSink, serving: boolean, wait: WordWait = blockThread) {
    this.words = new DeviceWords(handle, wait);
    this.#memory = new GuestMemory(handle);
    this.#msi = msi;
    this.#receive = new Virtqueue(this.words, this.#memory, QUEUE.receive);
    this.#transmit = new Virtqueue(this.words, this.#memory, QUEUE.transmit);
    this.#serving = serving;
  }

  get macLow(): number {
    return this.words.get(WORD.macLow);
  }

  get macHigh(): number {
    return this.words.get(WORD.macHigh);
  }

  set serving(on: boolean) {
    this.#serving = on;
  }

  /** What the guest's driver took on. */
  has(feature: number): boolean {
    return (this.#features & feature) !== 0;
  }

  /** Begins a turn, unless one is under way. False: there is nothing to serve (isReady), or somebody else holds the lock. */
  enter(): boolean {
    if (this.#entered) return true;
    if (!this.isReady || !this.words.tryLock()) return false;
    if (!this.isReady) {
      this.words.unlock();
      return false;
    }
    this.#entered = true;
    this.#features = this.words.get(WORD.driverFeatures);
    this.#memory.logging = this.words.get(WORD.logging) !== 0;
    this.#guarded(() => {
      this.#receiveOpen = this.#receive.open();
      // buffers are looked for when a frame is there: no need to hear of new ones
      if (this.#receiveOpen) this.#receive.wantNotifications(false);
      this.#transmitOpen = this.#transmit.open();
    });
    return true;
  }

  /** Begins a turn, and waits for whoever has the lock. False: there is nothing to serve, or he is stuck. */
  enterInTurn(): boolean {
    for (let tries = this.#isStuck ? 1 : LOCK_TRIES; tries > 0; tries--) {
      if (this.enter()) {
        this.#isStuck = false;
        return true;
      }
      // whether it is locked is not asked for: it may be free again by then
      if (!this.isReady) return false;
      if (tries > 1) this.words.awaitLock(LOCK_WAIT_MS);
    }
    this.#isStuck = true;
    return false;
  }

  /** Ends the turn: what was given back is shown to the guest. */
  leave(): void {
    if (!this.#entered) return;
    let received = false;
    let transmitted = false;
    this.#guarded(() => {
      if (this.#receiveOpen) received = this.#receive.publish();
      if (this.#transmitOpen) transmitted = this.#transmit.publish();
    });
    this.#entered = this.#receiveOpen = this.#transmitOpen = false;
    if (received) this.#interrupt(this.#receive.vector);
    if (transmitted) this.#interrupt(this.#transmit.vector);
    this.words.unlock();
  }

  /** Hands at most `most` frames to `taker`. Returns how many requests were done. */
  transmit(taker: FrameTaker, most: number): number {
    let done = 0;
    this.#guarded(() => {
      if (!this.#transmitOpen) return;
      if (this.listens && this.#transmit.waiting > 0) this.#transmit.wantNotifications(false);
      for (let left = Math.min(most, this.#transmit.waiting); left > 0; left--) {
        const length = this.#gather(taker);
        if (length === NO_ROOM) break;
        if (length >= ETHERNET_HEADER_BYTES) {
          this.words.count(STAT.txFrames);
          this.words.count(STAT.txBytes, length);
          taker.take(this, this.#header, length);
        } else {
          this.words.count(STAT.txDropped);
        }
        this.#transmit.complete(0);
        done++;
      }
    });
    return done;
  }

  /** Copies a frame into the guest's buffers. False: it has none, or is not there. */
  deliver(frame: Bytes, offset: number, length: number, header: NetHeader | null): boolean {
    if (!this.enterInTurn()) return false;
    let delivered = false;
    this.#guarded(() => {
      if (this.#receiveOpen) delivered = this.#scatter(frame, offset, length, header);
    });
    if (delivered) {
      this.words.count(STAT.rxFrames);
      this.words.count(STAT.rxBytes, length);
    } else {
      this.words.count(STAT.rxNoBuffer);
    }
    return delivered;
  }

  /** Before its server sleeps: the guest rings again when it has something to send. What it has already, the next turn finds. */
  listen(): void {
    if (!this.enterInTurn()) return;
    this.#guarded(() => {
      if (this.#transmitOpen) this.#transmit.wantNotifications(true);
    });
    this.leave();
  }

  /** There is a guest to serve: its driver has set the device up. */
  get isReady(): boolean {
    if (!this.#serving) return false;
    const status = this.words.get(WORD.status);
    if ((status & READY) !== READY || (status & STATUS.needsReset) !== 0) return false;
    return (this.words.get(WORD.config + (PCI.COMMAND >> 2)) & COMMAND_MASTER) !== 0;
  }

  /** The first waiting request into the taker's room; 0 when it is no frame. */
  #gather(taker: FrameTaker): number {
    const queue = this.#transmit;
    const memory = this.#memory.bytes;
    let headerBytes = 0;
    let length = 0;
    for (queue.peek(); ; queue.step()) {
      if (queue.writable) throw new BrokenRingError('a buffer to write in a frame to send');
      let from = queue.address;
      let left = queue.bytes;
      if (headerBytes < NET_HEADER_BYTES) {
        const part = Math.min(NET_HEADER_BYTES - headerBytes, left);
        copyBytes(memory, from, this.#header.bytes, headerBytes, part);
        headerBytes += part;
        if (headerBytes === NET_HEADER_BYTES && !taker.room(this.#header.isSegmented)) return NO_ROOM;
        from += part;
        left -= part;
      }
      if (left > 0 && length + left > taker.roomBytes) return 0;
      while (left > 0) {
        const part = Math.min(left, COPY_BYTES);
        copyBytes(memory, from, taker.into, taker.offset + length, part);
        length += part;
        from += part;
        left -= part;
      }
      if (queue.atEnd) return headerBytes === NET_HEADER_BYTES ? length : 0;
    }
  }

  /** Into one request, or as many as it takes when buffers are mergeable. Nothing is given back unless all of it fits. */
  #scatter(frame: Bytes, offset: number, length: number, header: NetHeader | null): boolean {
    const queue = this.#receive;
    const most = this.has(FEATURE.mergeableBuffers) ? queue.waiting : Math.min(1, queue.waiting);
    const outgoing = this.#outgoing;
    if (header === null || !this.has(FEATURE.guestCsum)) outgoing.clear();
    else outgoing.copyFrom(header);
    outgoing.buffers = 1;
    const parts = this.#parts;
    parts.length = 0;
    const total = NET_HEADER_BYTES + length;
    let firstBuffer = 0;
    let written = 0;
    while (written < total) {
      if (parts.length === most) return false;
      let inRequest = 0;
      for (queue.peek(parts.length); ; queue.step()) {
        if (!queue.writable) throw new BrokenRingError('a buffer to read among those for received frames');
        if (written === 0) {
          if (queue.bytes < NET_HEADER_BYTES)
            throw new BrokenRingError('a first buffer without room for the header');
          firstBuffer = queue.address;
        }
        const part = Math.min(queue.bytes, total - written);
        this.#fill(queue.address, frame, offset, written, part);
        written += part;
        inRequest += part;
        if (written === total || queue.atEnd) break;
      }
      if (inRequest === 0) throw new BrokenRingError('a request without room');
      parts.push(inRequest);
    }
    if (parts.length > 1) {
      outgoing.buffers = parts.length;
      this.#memory.write(firstBuffer, outgoing.bytes, 0, NET_HEADER_BYTES);
    }
    for (const part of parts) queue.complete(part);
    return true;
  }

  /** Bytes `from`.. of header and frame together. */
  #fill(address: number, frame: Bytes, offset: number, from: number, length: number): void {
    const memory = this.#memory;
    let at = address;
    let done = from;
    const end = from + length;
    if (done < NET_HEADER_BYTES) {
      const part = Math.min(NET_HEADER_BYTES - done, end - done);
      memory.write(at, this.#outgoing.bytes, done, part);
      at += part;
      done += part;
    }
    while (done < end) {
      const part = Math.min(end - done, COPY_BYTES);
      memory.write(at, frame, offset + done - NET_HEADER_BYTES, part);
      at += part;
      done += part;
    }
    memory.log(address, length);
  }

  #interrupt(vector: number): void {
    this.words.count(STAT.interrupts);
    Atomics.or(this.words.i32, WORD.isr, ISR.queue);
    raiseVector(this.words, this.#msi, vector);
  }

  /** Rings that make no sense stop the device until the guest resets it. Under the lock. */
  #guarded(act: () => void): void {
    try {
      act();
    } catch (error) {
      if (!(error instanceof BrokenRingError)) throw error;
      this.#receiveOpen = this.#transmitOpen = false;
      this.words.count(STAT.breakdowns);
      this.words.set(WORD.status, this.words.get(WORD.status) | STATUS.needsReset);
      Atomics.or(this.words.i32, WORD.isr, ISR.config);
      raiseVector(this.words, this.#msi, this.words.get(WORD.configVector));
    }
  }
}
