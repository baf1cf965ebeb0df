/**
 * The mailbox to the PF, by the legacy protocol (hardware reference 1.4), and its messages (3.1).
 *
 *   send:    take VFU -> forget old PFSTS and PFACK -> words -> REQ (which lets go of VFU)
 *   receive: wait for PFSTS -> take VFU -> words -> ACK (which lets go of VFU)
 *
 * A read of VFMAILBOX clears PFSTS, PFACK and RSTD; so what was seen is remembered and consumed bit by bit.
 */
import { delayUs, sleepUs } from './machine';
import { readRegister, VFMAILBOX, VFMBMEM, writeRegister } from './vf';

const REQ: u32 = 1 << 0;
const ACK: u32 = 1 << 1;
const VFU: u32 = 1 << 2;
const PFSTS: u32 = 1 << 4;
const PFACK: u32 = 1 << 5;
const RSTI: u32 = 1 << 6;
const RSTD: u32 = 1 << 7;
const CLEARED_BY_READ: u32 = PFSTS | PFACK | RSTD;

const TRIES: u32 = 2000;
const TRY_US: u32 = 500;

export const SUCCESS: u32 = 1 << 31;
export const FAILURE: u32 = 1 << 30;
export const CLEAR_TO_SEND: u32 = 1 << 29;
const MESSAGE_WORDS: u32 = 16;

export const RESET: u32 = 0x01;
export const SET_MAC_ADDR: u32 = 0x02;
export const SET_MULTICAST: u32 = 0x03;
export const SET_VLAN: u32 = 0x04;
export const SET_LPE: u32 = 0x05;
export const SET_MACVLAN: u32 = 0x06;
export const API_NEGOTIATE: u32 = 0x08;
export const GET_QUEUES: u32 = 0x09;
export const UPDATE_XCAST_MODE: u32 = 0x0c;
export const GET_LINK_STATE: u32 = 0x10;
export const FEATURES_NEGOTIATE: u32 = 0x12;
export const INFO_SHIFT: u32 = 16;

/** Bits seen by a read of VFMAILBOX and not consumed yet. */
let seenBits: u32 = 0;
/** False until the first reset, and after a time-out: nothing is sent, nothing is waited for. */
let usable: bool = false;
/** The words of the message being sent or received. */
export const message: usize = memory.data(64, 8);

@inline export function word(index: u32): u32 {
  return load<u32>(message + (index << 2));
}

@inline export function setWord(index: u32, value: u32): void {
  store<u32>(message + (index << 2), value);
}

function readBits(slot: u32): u32 {
  const bits = readRegister(slot, VFMAILBOX) | seenBits;
  seenBits |= bits & CLEARED_BY_READ;
  return bits;
}

function consume(slot: u32, bits: u32): bool {
  const seen = (readBits(slot) & bits) != 0;
  seenBits &= ~bits;
  return seen;
}

/** Whether the PF is in reset, or came out of it since the last question. */
export function resetSeen(slot: u32): bool {
  return consume(slot, RSTI | RSTD);
}

/** Whether the PF wrote something since anyone looked. */
export function messageWaits(slot: u32): bool {
  return consume(slot, PFSTS);
}

export function mailboxUsable(): bool {
  return usable;
}

/** Called with the VF's reset: from here on the PF is waited for. */
export function startMailbox(): void {
  usable = true;
}

function take(slot: u32): bool {
  for (let tries: u32 = 0; tries < TRIES; tries++) {
    writeRegister(slot, VFMAILBOX, readBits(slot) | VFU);
    if ((readBits(slot) & VFU) != 0) return true;
    sleepUs(TRY_US);
  }
  return false;
}

/** Sends the first `words` words of `message`. */
export function send(slot: u32, words: u32): bool {
  if (!usable || !take(slot)) return false;
  consume(slot, PFSTS);
  consume(slot, PFACK);
  for (let i: u32 = 0; i < words; i++) writeRegister(slot, VFMBMEM + (i << 2), word(i));
  writeRegister(slot, VFMAILBOX, REQ);
  return true;
}

/** Waits for the PF's answer and fetches its first `words` words into `message`. */
export function receive(slot: u32, words: u32): bool {
  if (!usable) return false;
  for (let tries: u32 = 0; !consume(slot, PFSTS); tries++) {
    if (tries == TRIES) return false;
    sleepUs(TRY_US);
  }
  return fetch(slot, words);
}

/** Fetches words as they stand, whether or not the PF wrote lately, and acknowledges. */
export function fetch(slot: u32, words: u32): bool {
  if (!usable || !take(slot)) return false;
  for (let i: u32 = 0; i < words; i++) setWord(i, readRegister(slot, VFMBMEM + (i << 2)));
  writeRegister(slot, VFMAILBOX, ACK);
  return true;
}

/** Fills the message with one id and zeros. */
export function begin(id: u32): void {
  memory.fill(message, 0, MESSAGE_WORDS << 2);
  setWord(0, id);
}

/** Sends and waits for the answer. True: word 0 of the answer is `id` with SUCCESS, clear-to-send aside. */
export function ask(slot: u32, words: u32): bool {
  const id = word(0) & 0xffff;
  if (!send(slot, words) || !receive(slot, words)) return false;
  setWord(0, word(0) & ~CLEAR_TO_SEND);
  return (word(0) & (SUCCESS | FAILURE | 0xffff)) == (id | SUCCESS);
}

/** Waits for a PF reset to end, as probing does: about a millisecond of patience. */
export function awaitPfReset(slot: u32): bool {
  for (let tries: u32 = 0; tries < 200; tries++) {
    if (!resetSeen(slot)) return true;
    delayUs(5);
  }
  return false;
}
