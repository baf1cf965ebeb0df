/**
 * What accesses through any window do: the handlers behind the ids of registers.ts. One per thread and window owner.
 * The plain cases and the tails are answered in the windows themselves (vf-bar.ts, pf-bar.ts); the rest comes here.
 */
import type { Clock } from '../clock.js';
import type { MsiSink } from '../pci/msi.js';
import { addCauses, unmaskCauses, writeThrottle } from './interrupts.js';
import {
  announceResetDone,
  readPfMailbox,
  readVfMailbox,
  writePfMailbox,
  writeVfMailbox,
} from './mailbox.js';
import {
  CTRL_EXT_PFRSTD,
  CTRL_LRST,
  CTRL_RST,
  DCTL_ENABLE,
  RTTDQSEL,
  RX,
  rxQueueOffset,
  TX,
  txQueueOffset,
  VFCTRL_RST,
} from './offsets.js';
import {
  awaitQueue,
  type Direction,
  isQueueActive,
  isQueueRequested,
  writeQueueControl,
  zeroQueueHead,
} from './queue-state.js';
import { READ, WRITE } from './registers.js';
import { resetPf, resetVf } from './reset.js';
import { CONTROL, type NicShared, PF_POOL, REGION } from './shared.js';

/** Whose window an access came through. */
export type AccessSide = 'vf' | 'pf';

export class RegisterFile {
  private readonly shared: NicShared;
  private readonly words: Int32Array;
  private readonly msi: MsiSink;
  private readonly clock: Clock;
  private readonly side: AccessSide;

  constructor(shared: NicShared, msi: MsiSink, clock: Clock, side: AccessSide) {
    this.shared = shared;
    this.words = shared.words;
    this.msi = msi;
    this.clock = clock;
    this.side = side;
  }

  /** @returns the value as an unsigned 32-bit number */
  read(handler: number, word: number, unit: number): number {
    const words = this.words;
    switch (handler) {
      case READ.plain:
        return Atomics.load(words, word) >>> 0;
      case READ.clearing:
        return (Atomics.load(words, word) === 0 ? 0 : Atomics.exchange(words, word, 0)) >>> 0;
      case READ.rxControl:
        return this.readControl('rx', word, unit);
      case READ.txControl:
        return this.readControl('tx', word, unit);
      case READ.vfMailbox:
        return readVfMailbox(this.shared, unit);
      case READ.pfMailbox:
        return readPfMailbox(this.shared, unit);
      case READ.timer:
        // microseconds, kept clear of all ones
        return Math.floor(this.clock.nowNs() / 1000) % 0x8000_0000;
      case READ.txRate:
        return Atomics.load(words, this.rateWord()) >>> 0;
      default:
        return 0;
    }
  }

  write(handler: number, word: number, mask: number, unit: number, value: number): void {
    const { shared, words, msi, clock } = this;
    let waits = false;
    switch (handler) {
      case WRITE.tail:
        Atomics.store(words, word, value & mask);
        shared.ring();
        break;
      case WRITE.plain:
        Atomics.store(words, word, value & mask);
        break;
      case WRITE.filter:
        Atomics.store(words, word, value & mask);
        Atomics.add(words, REGION.control + CONTROL.filterVersion, 1);
        shared.ring();
        break;
      case WRITE.rxHead:
        this.writeHead('rx', word, unit, value & mask);
        break;
      case WRITE.txHead:
        this.writeHead('tx', word, unit, value & mask);
        break;
      case WRITE.rxControl:
        writeQueueControl(shared, 'rx', unit, value & mask);
        break;
      case WRITE.txControl:
        writeQueueControl(shared, 'tx', unit, value & mask);
        break;
      case WRITE.vfReset:
        if ((value & VFCTRL_RST) !== 0) waits = resetVf(shared, msi, clock, unit);
        break;
      case WRITE.oneToClear:
        Atomics.and(words, word, ~(value & mask));
        break;
      case WRITE.setCauses:
        waits = addCauses(shared, msi, clock, unit, value & mask);
        break;
      case WRITE.unmask:
        waits = unmaskCauses(shared, msi, clock, unit, value & mask);
        break;
      case WRITE.vfMailbox:
        waits = writeVfMailbox(shared, msi, clock, unit, value);
        break;
      case WRITE.pfMailbox:
        waits = writePfMailbox(shared, msi, clock, unit, value);
        break;
      default:
        this.writeRare(handler, word, mask, unit, value);
    }
    // the engine sends what has to wait for its moderation interval
    if (waits) shared.ring();
  }

  private writeRare(handler: number, word: number, mask: number, unit: number, value: number): void {
    const { shared, words } = this;
    switch (handler) {
      case WRITE.vfThrottle:
        writeThrottle(shared, Math.floor(unit / 3), unit % 3, value);
        shared.ring();
        break;
      case WRITE.pfThrottle:
        if (unit < 3) writeThrottle(shared, PF_POOL, unit, value);
        else Atomics.store(words, word, value & mask);
        shared.ring();
        break;
      case WRITE.deviceControl:
        Atomics.store(words, word, value & mask);
        if ((value & (CTRL_RST | CTRL_LRST)) !== 0) resetPf(shared);
        break;
      case WRITE.extendedControl:
        Atomics.store(words, word, value & mask);
        if ((value & CTRL_EXT_PFRSTD) !== 0) announceResetDone(shared);
        break;
      case WRITE.queueDrop:
        this.writeQueueDrop(word, mask, value);
        break;
      case WRITE.txRate:
        Atomics.store(words, this.rateWord(), value & mask);
        Atomics.add(words, REGION.control + CONTROL.filterVersion, 1);
        shared.ring();
        break;
    }
  }

  private readControl(direction: Direction, word: number, queue: number): number {
    awaitQueue(this.shared, direction, queue);
    const stored = Atomics.load(this.words, word) & ~DCTL_ENABLE;
    return (isQueueActive(this.shared, direction, queue) ? stored | DCTL_ENABLE : stored) >>> 0;
  }

  /**
   * Heads belong to the device. A VF may only zero one whose queue it has disabled; the PF may set any head below the ring
   * size once the queue is really idle. Whether silicon takes a head other than 0 is not documented: the model's choice.
   */
  private writeHead(direction: Direction, word: number, queue: number, head: number): void {
    if (isQueueRequested(this.shared, direction, queue)) return;
    if (head === 0) {
      zeroQueueHead(this.shared, direction, queue);
      return;
    }
    if (this.side === 'vf' || isQueueActive(this.shared, direction, queue)) return;
    const lengthOffset =
      direction === 'rx' ? rxQueueOffset(queue) + RX.RDLEN : txQueueOffset(queue) + TX.TDLEN;
    if (head < Atomics.load(this.words, lengthOffset >> 2) >>> 4) Atomics.store(this.words, word, head);
  }

  private writeQueueDrop(word: number, mask: number, value: number): void {
    Atomics.store(this.words, word, value & mask);
    if ((value & (1 << 16)) === 0) return;
    const queue = (value >>> 8) & 0x7f;
    const target = REGION.control + CONTROL.queueDrop + (queue >> 5);
    if ((value & 1) !== 0) Atomics.or(this.words, target, 1 << (queue & 31));
    else Atomics.and(this.words, target, ~(1 << (queue & 31)));
    Atomics.add(this.words, REGION.control + CONTROL.filterVersion, 1);
    this.shared.ring();
  }

  private rateWord(): number {
    return REGION.txRate + (Atomics.load(this.words, RTTDQSEL >> 2) & 0x7f);
  }
}
