/**
 * Power-on, PF reset, VF reset and function-level reset (vf-hardware 5.3), and what each leaves standing.
 *
 *   power-on  everything
 *   PF reset  all registers; configuration spaces and MSI-X tables stay; every VF sees RSTI until CTRL_EXT.PFRSTD
 *   FLR       a VF reset, and the function's configuration space and MSI-X table
 *   VF reset  queues off, ring bases and lengths, interrupts, Tx contexts. Heads, tails, PSRTYPE, SRRCTL, RXDCTL and
 *             TXDCTL (but ENABLE), TDWBAL/H and the DCA registers survive, as do the statistics
 */
import type { Clock } from '../clock.js';
import { configImage, resetConfigSpace } from '../pci/config-image.js';
import type { MsiSink } from '../pci/msi.js';
import { PF_FUNCTION } from '../pci/offsets.js';
import { raisePf, resetInterrupts } from './interrupts.js';
import { updateLinks } from './link.js';
import { announceReset, releaseVfMailbox } from './mailbox.js';
import { resetMsix } from './msix.js';
import {
  DCTL_ENABLE,
  EICR_MAILBOX,
  queueOf,
  RX,
  rxQueueOffset,
  TX,
  txQueueOffset,
  vflreOffset,
  vfreOffset,
  vfteOffset,
} from './offsets.js';
import { writeQueueControl, zeroQueueHead } from './queue-state.js';
import { REGISTERS } from './registers.js';
import {
  CONFIG_WORDS,
  CONTROL,
  MAX_VFS,
  NIC_SHARED_BYTES,
  type NicHandle,
  NicShared,
  PF_POOL,
  POOL_COUNT,
  QUEUE_COUNT,
  QUEUES_PER_POOL,
  REGION,
} from './shared.js';

export interface NicParameters {
  /** 1..63. */
  readonly vfCount: number;
  /** 0 = unlimited; LINKS then says 10 Gb/s. */
  readonly linkSpeedMbps: number;
}

/** A number of VFs that the card does not have. */
export class VfCountError extends RangeError {
  constructor(vfCount: number) {
    super(`an 82599 has 1 to ${MAX_VFS} virtual functions, not ${vfCount}: choose a number in that range`);
    this.name = 'VfCountError';
  }
}

/** Allocates a card in its power-on state, at 10 Gb/s. */
export function createNicHandle(vfCount: number): NicHandle {
  if (!Number.isInteger(vfCount) || vfCount < 1 || vfCount > MAX_VFS) throw new VfCountError(vfCount);
  const handle = { sab: new SharedArrayBuffer(NIC_SHARED_BYTES), vfCount };
  resetNic(new NicShared(handle), { vfCount, linkSpeedMbps: 10_000 });
  return handle;
}

/** Power-on. Only before an engine, a guest or a PF driver uses the card. */
export function resetNic(shared: NicShared, parameters: NicParameters): void {
  const words = shared.words;
  words.fill(0, 0, REGION.control);
  words.fill(0, REGION.control + CONTROL.rxActive, REGION.control + CONTROL.txActive + 4);
  words.fill(0, REGION.control + CONTROL.queueRequests);
  Atomics.store(words, REGION.control + CONTROL.vfCount, parameters.vfCount);
  Atomics.store(words, REGION.control + CONTROL.linkSpeedMbps, parameters.linkSpeedMbps);
  resetRegisters(shared);
  for (let fn = 0; fn < POOL_COUNT; fn++) {
    resetMsix(shared, fn);
    // nobody looks yet: in one go
    words.set(configImage(fn), REGION.config + fn * CONFIG_WORDS);
  }
  announceReset(shared);
}

function resetRegisters(shared: NicShared): void {
  for (const block of REGISTERS) {
    if (block.state !== undefined) continue;
    for (let i = 0; i < block.count; i++) Atomics.store(shared.words, block.offset(i) >> 2, block.reset);
  }
  updateLinks(shared);
}

/** CTRL.RST or CTRL.LRST by the PF: the whole card but for configuration spaces, MSI-X tables and the cable. */
export function resetPf(shared: NicShared): void {
  const words = shared.words;
  announceReset(shared);
  for (let queue = 0; queue < QUEUE_COUNT; queue++) {
    stopQueue(shared, queue);
    zeroQueueHead(shared, 'rx', queue);
    zeroQueueHead(shared, 'tx', queue);
  }
  for (let fn = 0; fn < POOL_COUNT; fn++) resetInterrupts(shared, fn);
  resetRegisters(shared);
  clearWords(words, REGION.txContext, QUEUE_COUNT * 8);
  clearWords(words, REGION.txRate, QUEUE_COUNT);
  clearWords(words, REGION.control + CONTROL.queueDrop, 4);
  Atomics.add(words, REGION.control + CONTROL.filterVersion, 1);
  shared.ring();
}

/** VFCTRL.RST. True if the PF's message waits for its EITR interval. */
export function resetVf(shared: NicShared, msi: MsiSink, clock: Clock, vf: number): boolean {
  const words = shared.words;
  resetPool(shared, vf);
  const half = vf >> 5;
  const bit = 1 << (vf & 31);
  // Unverified for this chip (its predecessor's emulation does it): DMA is off until the PF answers the RESET message.
  Atomics.and(words, vfreOffset(half) >> 2, ~bit);
  Atomics.and(words, vfteOffset(half) >> 2, ~bit);
  Atomics.add(words, REGION.control + CONTROL.filterVersion, 1);
  releaseVfMailbox(shared, vf);
  Atomics.or(words, vflreOffset(half) >> 2, bit);
  shared.ring();
  return raisePf(shared, msi, clock, EICR_MAILBOX);
}

function resetPool(shared: NicShared, pool: number): void {
  const words = shared.words;
  for (let q = 0; q < QUEUES_PER_POOL; q++) {
    const queue = queueOf(pool, q);
    stopQueue(shared, queue);
    const rx = rxQueueOffset(queue);
    const tx = txQueueOffset(queue);
    for (const low of [RX.RDBAL, RX.RDBAH, RX.RDLEN, RX.RSCCTL]) Atomics.store(words, (rx + low) >> 2, 0);
    for (const low of [TX.TDBAL, TX.TDBAH, TX.TDLEN]) Atomics.store(words, (tx + low) >> 2, 0);
    clearWords(words, REGION.txContext + queue * 8, 8);
  }
  resetInterrupts(shared, pool);
}

/** Function-level reset of a VF or of the PF. True if a message waits for its EITR interval. */
export function resetFunction(
  shared: NicShared,
  msi: MsiSink,
  clock: Clock,
  functionNumber: number,
): boolean {
  if (functionNumber === PF_FUNCTION) {
    resetPf(shared);
    resetMsix(shared, PF_POOL);
    resetConfigSpace(shared.words, PF_FUNCTION);
    return false;
  }
  const waits = resetVf(shared, msi, clock, functionNumber);
  resetMsix(shared, functionNumber);
  resetConfigSpace(shared.words, functionNumber);
  return waits;
}

function stopQueue(shared: NicShared, queue: number): void {
  const rx = (rxQueueOffset(queue) + RX.RXDCTL) >> 2;
  const tx = (txQueueOffset(queue) + TX.TXDCTL) >> 2;
  writeQueueControl(shared, 'rx', queue, Atomics.load(shared.words, rx) & ~DCTL_ENABLE);
  writeQueueControl(shared, 'tx', queue, Atomics.load(shared.words, tx) & ~DCTL_ENABLE);
}

function clearWords(words: Int32Array, first: number, count: number): void {
  for (let i = 0; i < count; i++) Atomics.store(words, first + i, 0);
}
