/**
 * CompSC, the guest's half: the page that driver and hypervisor share, registered by a vendor message after each reset of the
 * VF. Words of 32 bits:
 *
 *   0 magic   1 lock: bit 31 the hypervisor writes, below it the driver's readers   2 version   3 restored so often
 *   4, 5 turns of queue 0, 1 that left its rings empty    6 registers to migrate    7 counters to self-emulate
 *   16..     offsets of the registers to migrate
 *   128..    counters, 4 words each: low register, high register (0: none), and what was counted before, low and high
 *
 * The driver takes the read lock around each operation on the card. When the version has gone up since the last time, the card
 * is another one: the driver makes it what the old one was before it does anything else.
 */
import { sleepUs } from './machine';
import { ask, begin, setWord } from './mailbox';
import { extend, PAGE_BYTES } from './memory';
import { Network } from './network';
import {
  QUEUE_STRIDE,
  readRegister,
  VFDCA_RXCTRL,
  VFDCA_TXCTRL,
  VFGORC_LSB,
  VFGORC_MSB,
  VFGOTC_LSB,
  VFGOTC_MSB,
  VFGPRC,
  VFGPTC,
  VFMPRC,
  VFPSRTYPE,
  VFRDBAH,
  VFRDBAL,
  VFRDLEN,
  VFSRRCTL,
  VFTDBAH,
  VFTDBAL,
  VFTDLEN,
  VTEIAC,
  VTEIAM,
  VTEITR,
  VTIVAR,
  VTIVAR_MISC,
} from './vf';

const REGISTER_PAGE: u32 = 0x60;
const LAYOUT: u32 = 1;
const MAGIC: u32 = 0x43534331;
const LOCK: usize = 4;
const VERSION: usize = 8;
const RESTORED: usize = 12;
const TURNS: usize = 16;
const REGISTERS: usize = 24;
const COUNTERS: usize = 28;
const REGISTER_LIST: usize = 64;
const COUNTER_LIST: usize = 512;
const COUNTER_SHIFT: usize = 4;
const BEFORE: usize = 8;
const WRITER: u32 = 1 << 31;
const WAIT_US: u32 = 100;

let page: usize = 0;
let seenVersion: u32 = 0;
/** Operations within operations: the outermost one has the lock. */
let depth: u32 = 0;

function addRegister(register: u32): void {
  const used = load<u32>(page, REGISTERS);
  store<u32>(page + REGISTER_LIST + (<usize>used << 2), register);
  store<u32>(page, used + 1, REGISTERS);
}

function addCounter(low: u32, high: u32): void {
  const used = load<u32>(page, COUNTERS);
  const entry = page + COUNTER_LIST + (<usize>used << COUNTER_SHIFT);
  store<u32>(entry, low);
  store<u32>(entry, high, 4);
  store<u32>(page, used + 1, COUNTERS);
}

function makePage(): void {
  page = extend(PAGE_BYTES);
  if (page == 0) return;
  store<u32>(page, MAGIC);
  addRegister(VFPSRTYPE);
  addRegister(VTIVAR);
  addRegister(VTIVAR_MISC);
  addRegister(VTEIAC);
  addRegister(VTEIAM);
  for (let vector: u32 = 0; vector < 3; vector++) addRegister(VTEITR + (vector << 2));
  for (let queue: u32 = 0; queue < 2; queue++) {
    const block = queue * QUEUE_STRIDE;
    addRegister(VFRDBAL + block);
    addRegister(VFRDBAH + block);
    addRegister(VFRDLEN + block);
    addRegister(VFSRRCTL + block);
    addRegister(VFDCA_RXCTRL + block);
    addRegister(VFTDBAL + block);
    addRegister(VFTDBAH + block);
    addRegister(VFTDLEN + block);
    addRegister(VFDCA_TXCTRL + block);
  }
  addCounter(VFGPRC, 0);
  addCounter(VFGPTC, 0);
  addCounter(VFMPRC, 0);
  addCounter(VFGORC_LSB, VFGORC_MSB);
  addCounter(VFGOTC_LSB, VFGOTC_MSB);
}

/** Tells the PF where the page is. After every RESET message: that makes the PF forget. */
export function registerPage(net: Network): void {
  if (page == 0) return;
  begin(REGISTER_PAGE);
  setWord(1, <u32>page);
  setWord(2, LAYOUT);
  ask(net.slot, 3);
}

/** Takes the read lock. True: the card is another one since the last operation. */
export function lock(): bool {
  if (page == 0) makePage();
  if (depth++ != 0 || page == 0) return false;
  for (;;) {
    const word = load<u32>(page, LOCK);
    if ((word & WRITER) == 0 && atomic.cmpxchg<u32>(page + LOCK, word, word + 1) == word) break;
    sleepUs(WAIT_US);
  }
  const version = atomic.load<u32>(page + VERSION);
  if (version == seenVersion) return false;
  seenVersion = version;
  store<u32>(page, load<u32>(page, RESTORED) + 1, RESTORED);
  return true;
}

export function unlock(): void {
  if (--depth != 0 || page == 0) return;
  atomic.sub<u32>(page + LOCK, 1);
}

/** A queue's rings were found empty. */
export function noteTurn(queue: u32): void {
  if (page != 0) atomic.add<u32>(page + TURNS + (<usize>queue << 2), 1);
}

/** A statistics register, or a pair of them: what was counted on earlier cards, and on this one. */
export function readCounter(slot: u32, low: u32, high: u32): u64 {
  let value = <u64>readRegister(slot, low);
  if (high != 0) value |= <u64>(readRegister(slot, high) & 0xf) << 32;
  if (page == 0) return value;
  const count = load<u32>(page, COUNTERS);
  for (let i: u32 = 0; i < count; i++) {
    const entry = page + COUNTER_LIST + (<usize>i << COUNTER_SHIFT);
    if (load<u32>(entry) == low) return value + load<u64>(entry, BEFORE);
  }
  return value;
}
