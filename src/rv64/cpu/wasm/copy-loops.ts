/**
 * Loops that copy, run in whole rounds: as many as the pages, the budget and the loop itself allow. The kernel's copies
 * between addresses of different alignment are such loops; what TCP receives goes through one, 8 instructions for 8 bytes.
 *
 *   decoder, at a branch back: the end of such a loop? -> the handler of its first instruction becomes COPY_*
 *   COPY_*: rounds that leave everything exactly as their single instructions would
 *           or none (no TLB entry, too little budget): then the first instruction alone, and the others find out why
 *
 *   shifted   srl a,p,s   ld p,8(q)   addi q,q,8   sll b,p,t   or b,b,a   sd b,0(r)   addi r,r,8   bltu r,e
 *   bytes     lb a,0(q)   addi q,q,1   sb a,0(r)   addi r,r,1   bltu q,e or r,e
 */
import { ramOf } from './code';
import { expand } from './compressed';
import { goOn, instructionsLeft, setInstructionsLeft, slotDelta } from './execute';
import { cpu } from './host';
import { entryFor, tlbContext } from './mmu';
import { PAGE, SLOT, TLB_STORES, X } from './offsets';
import { Op } from './ops';
import { handler, ra, rb, rc, set, step } from './slots';

const SHIFTED_INSTRUCTIONS: u32 = 8;
const BYTES_INSTRUCTIONS: u32 = 5;
/** Of eight long instructions. */
const LONGEST_BYTES: i32 = 32;
/** Of slots for each byte of code. */
const SLOT_BYTES: i32 = SLOT / 2;

// what is the same in an instruction, whatever its registers
const TYPE_R: u32 = 0xfe00707f;
const TYPE_I: u32 = 0xfff0707f;
const TYPE_S: u32 = 0xfe007fff;
const SRL: u32 = 0x00005033;
const SLL: u32 = 0x00001033;
const OR: u32 = 0x00006033;
const LB_AT_0: u32 = 0x00000003;
const LD_AT_8: u32 = 0x00803003;
const SB_AT_0: u32 = 0x00000023;
const SD_AT_0: u32 = 0x00003023;
const ADDI_1: u32 = 0x00100013;
const ADDI_8: u32 = 0x00800013;

@inline function rd(word: u32): u32 {
  return (word >>> 7) & 31;
}
@inline function rs1(word: u32): u32 {
  return (word >>> 15) & 31;
}
@inline function rs2(word: u32): u32 {
  return (word >>> 20) & 31;
}
@inline function addressOf(register: u32): u32 {
  return <u32>cpu + X + (register << 3);
}
@inline function bit(register: u32): u32 {
  return <u32>1 << register;
}

/** How far recognition has come: the slot, its instruction in RAM, and whether all was as it has to be. */
let at: usize = 0;
let ram: u32 = 0;
let fits = false;

/** The instruction there, if it is that one and its slot is decoded from the same: memory may have changed since. */
function expectOne(type: u32, instruction: u32): u32 {
  const low = <u32>load<u16>(ram);
  const isShort = (low & 3) !== 3;
  const word = isShort ? expand(low) : low | (<u32>load<u16>(ram, 2) << 16);
  const first = type === TYPE_S ? rs2(word) : rd(word);
  const last = type === TYPE_R ? addressOf(rs2(word)) : type === TYPE_I ? word >>> 20 : 0;
  fits =
    fits &&
    (word & type) === instruction &&
    load<u16>(at) !== Op.DECODE &&
    load<u32>(at, 4) === addressOf(first) &&
    load<u32>(at, 8) === addressOf(rs1(word)) &&
    load<u32>(at, 12) === last;
  ram += isShort ? 2 : 4;
  at += isShort ? SLOT : 2 * SLOT;
  return word;
}

/** A BLTU within its page was decoded: makes the loop that it ends one that is run in whole rounds, if it is one. */
export function markCopyLoop(branch: usize): void {
  const back = load<i32>(branch, 12);
  if (back >= 0 || back < -LONGEST_BYTES * SLOT_BYTES) return;
  const head = branch + back;
  if (isShifted(head, branch)) store<u16>(head, Op.COPY_SHIFTED);
  else if (isBytes(head, branch)) store<u16>(head, Op.COPY_BYTES);
}

function begin(head: usize): void {
  at = head;
  ram = ramOf(head);
  fits = true;
}

/** Registers that the loop writes are `count` different ones, x0 is none of them, nor is what it only reads. */
@inline function areApart(written: u32, count: u32, read: u32): bool {
  return popcnt<u32>(written) === count && (written & 1) === 0 && (written & read) === 0;
}

function isShifted(head: usize, branch: usize): bool {
  begin(head);
  const srl = expectOne(TYPE_R, SRL);
  if (!fits) return false;
  const ld = expectOne(TYPE_I, LD_AT_8);
  const forward = expectOne(TYPE_I, ADDI_8);
  const sll = expectOne(TYPE_R, SLL);
  const or = expectOne(TYPE_R, OR);
  const sd = expectOne(TYPE_S, SD_AT_0);
  const onward = expectOne(TYPE_I, ADDI_8);
  if (!fits || at !== branch) return false;
  const a = rd(srl);
  const p = rs1(srl);
  const q = rs1(ld);
  const b = rd(sll);
  const r = rs1(sd);
  const end = (load<u32>(branch, 4) - addressOf(0)) >>> 3;
  return (
    rd(ld) === p &&
    rd(forward) === q &&
    rs1(forward) === q &&
    rs1(sll) === p &&
    rd(or) === b &&
    (bit(rs1(or)) | bit(rs2(or))) === (bit(a) | bit(b)) &&
    rs2(sd) === b &&
    rd(onward) === r &&
    rs1(onward) === r &&
    load<u32>(branch, 8) === addressOf(r) &&
    areApart(bit(a) | bit(p) | bit(q) | bit(b) | bit(r), 5, bit(rs2(srl)) | bit(rs2(sll)) | bit(end))
  );
}

function isBytes(head: usize, branch: usize): bool {
  begin(head);
  const lb = expectOne(TYPE_I, LB_AT_0);
  if (!fits) return false;
  const forward = expectOne(TYPE_I, ADDI_1);
  const sb = expectOne(TYPE_S, SB_AT_0);
  const onward = expectOne(TYPE_I, ADDI_1);
  if (!fits || at !== branch) return false;
  const a = rd(lb);
  const q = rs1(lb);
  const r = rs1(sb);
  const end = (load<u32>(branch, 4) - addressOf(0)) >>> 3;
  const counted = load<u32>(branch, 8);
  return (
    rd(forward) === q &&
    rs1(forward) === q &&
    rs2(sb) === a &&
    rd(onward) === r &&
    rs1(onward) === r &&
    (counted === addressOf(q) || counted === addressOf(r)) &&
    areApart(bit(a) | bit(q) | bit(r), 3, bit(end))
  );
}

/** Rounds whose accesses of `size` bytes at `va` on are answered by the entry; 0 when it is of another page. */
@inline function answered(entry: usize, va: u64, size: u64): u64 {
  if (load<u64>(entry) !== ((va + size - 1) & ~(<u64>PAGE - 1))) return 0;
  return (<u64>PAGE - (va & (<u64>PAGE - 1))) / size;
}

/** So many rounds of a loop have run; it ended, or goes on from its head. The first instruction is already counted. */
function ran(rounds: u32, instructions: u32, head: usize, branch: usize, isOver: bool): void {
  setInstructionsLeft(instructionsLeft - (<i32>(rounds * instructions) - 1));
  const on = isOver ? branch + step(branch) : head;
  goOn(on, handler(on), slotDelta);
}

/** False: not a single round. */
export function copyShifted(head: usize): bool {
  const ld = head + step(head);
  const forward = ld + step(ld);
  const sll = forward + step(forward);
  const or = sll + step(sll);
  const sd = or + step(or);
  const onward = sd + step(sd);
  const branch = onward + step(onward);
  let from = rb(ld) + 8;
  let to = rb(sd);
  const source = tlbContext() + entryFor(from);
  const target = tlbContext() + TLB_STORES + entryFor(to);
  const most = min(min(answered(source, from, 8), answered(target, to, 8)), (<u64>instructionsLeft + 1) / SHIFTED_INSTRUCTIONS);
  if (most === 0) return false;
  const end = ra(branch);
  const right = rc(head) & 63;
  const left = rc(sll) & 63;
  const load8 = load<u32>(source, 8);
  const store8 = load<u32>(target, 8);
  let before = rb(head);
  let low: u64 = 0;
  let whole: u64 = 0;
  let rounds: u32 = 0;
  let goesOn = true;
  while (goesOn && rounds < <u32>most) {
    low = before >> right;
    before = load<u64>(<usize>(<u32>from + load8));
    whole = (before << left) | low;
    store<u64>(<usize>(<u32>to + store8), whole);
    from += 8;
    to += 8;
    rounds++;
    goesOn = to < end;
  }
  set(head, low);
  set(ld, before);
  set(forward, from - 8);
  set(sll, whole);
  set(onward, to);
  ran(rounds, SHIFTED_INSTRUCTIONS, head, branch, !goesOn);
  return true;
}

/** False: not a single round. */
export function copyBytes(head: usize): bool {
  const forward = head + step(head);
  const sb = forward + step(forward);
  const onward = sb + step(sb);
  const branch = onward + step(onward);
  let from = rb(head);
  let to = rb(sb);
  const source = tlbContext() + entryFor(from);
  const target = tlbContext() + TLB_STORES + entryFor(to);
  const most = min(min(answered(source, from, 1), answered(target, to, 1)), (<u64>instructionsLeft + 1) / BYTES_INSTRUCTIONS);
  if (most === 0) return false;
  // the loop ends when the register that is counted is no longer below the end
  const counted = rb(branch);
  const end = ra(branch);
  const wanted = end > counted ? max<u64>(end - counted, 1) : 1;
  const rounds = <u32>min(most, wanted);
  const load1 = load<u32>(source, 8);
  const store1 = load<u32>(target, 8);
  let byte: i8 = 0;
  for (let i: u32 = 0; i < rounds; i++) {
    byte = load<i8>(<usize>(<u32>from + load1 + i));
    store<i8>(<usize>(<u32>to + store1 + i), byte);
  }
  from += <u64>rounds;
  to += <u64>rounds;
  set(head, <u64>(<i64>byte));
  set(forward, from);
  set(onward, to);
  ran(rounds, BYTES_INSTRUCTIONS, head, branch, counted + <u64>rounds >= end);
  return true;
}
