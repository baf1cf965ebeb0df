/**
 * From an event to a message (vf-hardware 1.5), for VFs and for the PF.
 *
 *   event -> IVAR entry valid? -> cause bit -> EIMS bit? -> may the function send? -> EITR interval over?
 *                                    |            no: stays latched, looked at again when EIMS is set
 *                                    |                                                no: fireModerated() sends it later
 *                                    '-> auto-clear, auto-mask -> MSI-X (msix.ts)
 *
 * All words are shared between the guest's thread, the engine and the PF driver. Whoever adds a cause looks at the mask
 * afterwards, whoever unmasks looks at the causes afterwards: with sequentially consistent atomics one of the two sees
 * both, so that no interrupt is lost (at worst one is sent twice, which an interrupt handler must bear anyway).
 */
import type { Clock } from '../clock.js';
import type { MsiSink } from '../pci/msi.js';
import { PF_FUNCTION } from '../pci/offsets.js';
import { messagesEnabled, sendMsix } from './msix.js';
import {
  EIAC,
  EIAM,
  EICR,
  EIMS,
  EITR_BASE,
  GPIE,
  GPIE_EIAME,
  IVAR_BASE,
  IVAR_MISC,
  vteiacOffset,
  vteiamOffset,
  vteicrOffset,
  vteimsOffset,
  vteitrOffset,
  vtivarMiscOffset,
  vtivarOffset,
} from './offsets.js';
import { CONTROL, type NicShared, PF_POOL, REGION, VECTORS_PER_VF } from './shared.js';

const ENTRY_VALID = 0x80;
/** EICR bits of the PF that stand for a vector themselves; those above go through IVAR_MISC. */
const PF_VECTOR_BITS = 0xffff;
const MODERATION_WORDS = 16;
/** In a function's moderation words: which vectors wait, after three doubles. */
const WAITING = 6;
const MODERATION_FUNCTIONS = REGION.control + CONTROL.moderationFunctions;
const MODERATION_PENDING = REGION.control + CONTROL.moderationPending;

/** Index into NicShared.doubles of the moment from which vector `vector` may send again. */
const timeIndex = (functionNumber: number, vector: number): number =>
  (REGION.moderation + functionNumber * MODERATION_WORDS) / 2 + vector;

// --- events ---------------------------------------------------------------------------------------------------------

/** An Rx queue (0 or 1 of `pool`) wrote descriptors back. */
export function raiseRx(shared: NicShared, msi: MsiSink, clock: Clock, pool: number, queue: number): void {
  raiseEntry(shared, msi, clock, pool, queueEntries(shared, pool) >>> (queue * 16));
}

/** A Tx queue (0 or 1 of `pool`) wrote back a descriptor that asked for it. */
export function raiseTx(shared: NicShared, msi: MsiSink, clock: Clock, pool: number, queue: number): void {
  raiseEntry(shared, msi, clock, pool, queueEntries(shared, pool) >>> (queue * 16 + 8));
}

/** The VF's "other" cause: the PF wrote to its mailbox. True if the message waits for the EITR interval. */
export function raiseMailbox(shared: NicShared, msi: MsiSink, clock: Clock, vf: number): boolean {
  return raiseEntry(shared, msi, clock, vf, Atomics.load(shared.words, vtivarMiscOffset(vf) >> 2));
}

/** A cause of the PF itself (EICR_MAILBOX, EICR_LSC, ...). True if the message waits for the EITR interval. */
export function raisePf(shared: NicShared, msi: MsiSink, clock: Clock, causeBits: number): boolean {
  return addCauses(shared, msi, clock, PF_FUNCTION, causeBits);
}

function queueEntries(shared: NicShared, pool: number): number {
  const offset = pool === PF_POOL ? IVAR_BASE + 4 * PF_POOL : vtivarOffset(pool);
  return Atomics.load(shared.words, offset >> 2);
}

function raiseEntry(shared: NicShared, msi: MsiSink, clock: Clock, pool: number, entry: number): boolean {
  if ((entry & ENTRY_VALID) === 0) return false;
  const vector = entry & 3;
  // the table has three entries: a fourth vector leads nowhere
  return vector < VECTORS_PER_VF && addCauses(shared, msi, clock, pool, 1 << vector);
}

// --- cause and mask registers ---------------------------------------------------------------------------------------

const causeWord = (functionNumber: number): number =>
  (functionNumber === PF_FUNCTION ? EICR : vteicrOffset(functionNumber)) >> 2;
const maskWord = (functionNumber: number): number =>
  (functionNumber === PF_FUNCTION ? EIMS : vteimsOffset(functionNumber)) >> 2;
const autoClearWord = (functionNumber: number): number =>
  (functionNumber === PF_FUNCTION ? EIAC : vteiacOffset(functionNumber)) >> 2;
const autoMaskWord = (functionNumber: number): number =>
  (functionNumber === PF_FUNCTION ? EIAM : vteiamOffset(functionNumber)) >> 2;
const throttleWord = (functionNumber: number, vector: number): number =>
  (functionNumber === PF_FUNCTION ? EITR_BASE + 4 * vector : vteitrOffset(functionNumber, vector)) >> 2;

/** Latches causes (an event, or a write to EICS) and sends what may be sent. True if something waits for its interval. */
export function addCauses(
  shared: NicShared,
  msi: MsiSink,
  clock: Clock,
  functionNumber: number,
  causes: number,
): boolean {
  Atomics.or(shared.words, causeWord(functionNumber), causes);
  return fire(shared, msi, clock, functionNumber, causes);
}

/** Sets enable bits (a write to EIMS): what was latched while masked is sent now. True if something has to wait. */
export function unmaskCauses(
  shared: NicShared,
  msi: MsiSink,
  clock: Clock,
  functionNumber: number,
  causes: number,
): boolean {
  const old = Atomics.or(shared.words, maskWord(functionNumber), causes);
  // a bit that was set already hid nothing: its causes were sent when they came
  return fire(shared, msi, clock, functionNumber, causes & ~old);
}

/** Looks again at everything latched: bus mastering or MSI-X was just enabled. True if something has to wait. */
export function refire(shared: NicShared, msi: MsiSink, clock: Clock, functionNumber: number): boolean {
  return fire(shared, msi, clock, functionNumber, -1);
}

/** A write to EITR: bits 11:3 are kept; without CNT_WDIS (bit 31) the running interval ends now. True: look again. */
export function writeThrottle(
  shared: NicShared,
  functionNumber: number,
  vector: number,
  value: number,
): void {
  Atomics.store(shared.words, throttleWord(functionNumber, vector), value & 0xff8);
  if (value >= 0) shared.doubles[timeIndex(functionNumber, vector)] = 0;
}

function fire(
  shared: NicShared,
  msi: MsiSink,
  clock: Clock,
  functionNumber: number,
  candidates: number,
): boolean {
  const words = shared.words;
  const due =
    candidates &
    Atomics.load(words, causeWord(functionNumber)) &
    Atomics.load(words, maskWord(functionNumber));
  if (due === 0 || !messagesEnabled(words, functionNumber)) return false;
  let waits = false;
  for (let vector = 0; vector < VECTORS_PER_VF; vector++) {
    const causes = due & vectorCauses(words, functionNumber, vector);
    if (causes !== 0 && !sendOrDefer(shared, msi, clock, functionNumber, vector, causes)) waits = true;
  }
  return waits;
}

/** The cause bits that lead to a vector: its own, and for the PF those that IVAR_MISC routes to it. */
function vectorCauses(words: Int32Array, functionNumber: number, vector: number): number {
  const own = 1 << vector;
  if (functionNumber !== PF_FUNCTION) return own;
  const entry = (Atomics.load(words, IVAR_MISC >> 2) >>> 8) & 0xff;
  return (entry & ENTRY_VALID) !== 0 && (entry & 0x3f) === vector ? own | ~PF_VECTOR_BITS : own;
}

/** False: the interval has not passed, the vector was noted for fireModerated(). */
function sendOrDefer(
  shared: NicShared,
  msi: MsiSink,
  clock: Clock,
  functionNumber: number,
  vector: number,
  causes: number,
): boolean {
  const words = shared.words;
  const intervalNs = ((Atomics.load(words, throttleWord(functionNumber, vector)) >>> 3) & 0x1ff) * 2000;
  if (intervalNs !== 0) {
    const times = shared.doubles;
    const index = timeIndex(functionNumber, vector);
    const nowNs = clock.nowNs();
    if (nowNs < times[index]!) {
      Atomics.or(words, REGION.moderation + functionNumber * MODERATION_WORDS + WAITING, 1 << vector);
      Atomics.or(words, MODERATION_FUNCTIONS + (functionNumber >> 5), 1 << (functionNumber & 31));
      Atomics.store(words, MODERATION_PENDING, 1);
      return false;
    }
    times[index] = nowNs + intervalNs;
  }
  const cleared = causes & Atomics.load(words, autoClearWord(functionNumber));
  if (cleared !== 0) {
    const old = Atomics.and(words, causeWord(functionNumber), ~cleared);
    // another thread made the message of these very causes
    if ((old & causes) === 0) return true;
  }
  if ((Atomics.load(words, GPIE >> 2) & GPIE_EIAME) !== 0) {
    const masked = causes & Atomics.load(words, autoMaskWord(functionNumber));
    if (masked !== 0) Atomics.and(words, maskWord(functionNumber), ~masked);
  }
  sendMsix(shared, msi, functionNumber, vector);
  return true;
}

// --- moderation -----------------------------------------------------------------------------------------------------

/** Sends the messages whose EITR interval has passed. Returns when the next one is due, Infinity if none waits. */
export function fireModerated(shared: NicShared, msi: MsiSink, clock: Clock): number {
  const words = shared.words;
  if (Atomics.load(words, MODERATION_PENDING) === 0) return Infinity;
  Atomics.store(words, MODERATION_PENDING, 0);
  const nowNs = clock.nowNs();
  let nextNs = Infinity;
  for (let half = 0; half < 2; half++) {
    let functions = Atomics.load(words, MODERATION_FUNCTIONS + half);
    while (functions !== 0) {
      const index = 31 - Math.clz32(functions);
      functions &= ~(1 << index);
      const dueNs = fireFunction(shared, msi, clock, half * 32 + index, nowNs);
      if (dueNs < nextNs) nextNs = dueNs;
    }
  }
  if (nextNs !== Infinity) Atomics.store(words, MODERATION_PENDING, 1);
  return nextNs;
}

function fireFunction(
  shared: NicShared,
  msi: MsiSink,
  clock: Clock,
  functionNumber: number,
  nowNs: number,
): number {
  const words = shared.words;
  const times = shared.doubles;
  const waiting = REGION.moderation + functionNumber * MODERATION_WORDS + WAITING;
  let nextNs = Infinity;
  for (let vector = 0; vector < VECTORS_PER_VF; vector++) {
    const bit = 1 << vector;
    if ((Atomics.load(words, waiting) & bit) === 0) continue;
    const dueNs = times[timeIndex(functionNumber, vector)]!;
    if (dueNs > nowNs) {
      if (dueNs < nextNs) nextNs = dueNs;
      continue;
    }
    Atomics.and(words, waiting, ~bit);
    // masked or cleared meanwhile: fire() looks at both again
    fire(shared, msi, clock, functionNumber, vectorCauses(words, functionNumber, vector));
  }
  if (nextNs === Infinity) {
    const word = MODERATION_FUNCTIONS + (functionNumber >> 5);
    const bit = 1 << (functionNumber & 31);
    Atomics.and(words, word, ~bit);
    // another thread added a vector between the look and the clear
    if (Atomics.load(words, waiting) !== 0) {
      Atomics.or(words, word, bit);
      return nowNs;
    }
  }
  return nextNs;
}

/** Masked, nothing pending, nothing moderated: what any reset does to a function's interrupts. */
export function resetInterrupts(shared: NicShared, functionNumber: number): void {
  const words = shared.words;
  Atomics.store(words, maskWord(functionNumber), 0);
  Atomics.store(words, causeWord(functionNumber), 0);
  Atomics.store(words, autoClearWord(functionNumber), 0);
  Atomics.store(words, autoMaskWord(functionNumber), 0);
  for (let vector = 0; vector < VECTORS_PER_VF; vector++) {
    Atomics.store(words, throttleWord(functionNumber, vector), 0);
    shared.doubles[timeIndex(functionNumber, vector)] = 0;
  }
  Atomics.store(words, REGION.moderation + functionNumber * MODERATION_WORDS + WAITING, 0);
  Atomics.store(words, REGION.msixPending + functionNumber, 0);
  if (functionNumber !== PF_FUNCTION) {
    Atomics.store(words, vtivarOffset(functionNumber) >> 2, 0);
    Atomics.store(words, vtivarMiscOffset(functionNumber) >> 2, 0);
  } else {
    Atomics.store(words, (IVAR_BASE + 4 * PF_POOL) >> 2, 0);
    Atomics.store(words, IVAR_MISC >> 2, 0);
  }
}
