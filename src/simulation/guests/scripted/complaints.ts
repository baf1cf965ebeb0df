/**
 * What the guest found wrong, in a page of its RAM for whoever looks there afterwards.
 *
 *   2000   count | 8 words a complaint: kind, four numbers, step, guest clock
 */
import { COMPLAINTS_AT, STATE, stateAddress } from './places.js';
import type { GuestState } from './state.js';

const RECORD_BYTES = 32;
const FIRST_RECORD = COMPLAINTS_AT + RECORD_BYTES;
/** More are only counted. */
const MAX_RECORDS = 100;

type Say = (a: number, b: number, c: number, d: number) => string;

const hex = (value: number): string => (value >>> 0).toString(16);

/** In the order of their numbers in RAM, from 1 on. */
const KINDS: readonly (readonly [what: string, say: Say])[] = [
  [
    'frame-damaged',
    (n, at, slot, buffer) =>
      `frame ${n >>> 0} in slot ${slot}: byte ${at} of the buffer at ${hex(buffer)} is not what was sent`,
  ],
  [
    'frame-length',
    (q, slot, bytes) => `Rx queue ${q}, slot ${slot}: ${bytes} bytes written into a smaller buffer`,
  ],
  [
    'completed-unposted',
    (q, slot, status) =>
      `Rx queue ${q}, slot ${slot} was completed (${hex(status)}) without having been posted`,
  ],
  [
    'out-of-order',
    (q, slot) => `Rx queue ${q}: the slot behind slot ${slot} is completed, slot ${slot} is not`,
  ],
  [
    'head-without-write-back',
    (q, slot, head) => `Rx queue ${q}: the head is at ${head}, slot ${slot} before it has no write-back`,
  ],
  [
    'head-outside',
    (q, head, clean, use) => `Rx queue ${q}: the head is at ${head}, not between ${clean} and ${use}`,
  ],
  [
    'tx-completed-unposted',
    (q, slot) => `Tx queue ${q}, slot ${slot} was completed without having been posted`,
  ],
  [
    'tx-head-outside',
    (q, head, clean, use) => `Tx queue ${q}: the head is at ${head}, not between ${clean} and ${use}`,
  ],
  [
    'tx-head-without-report',
    (q, slot, head) =>
      `Tx queue ${q}: the head is at ${head}, slot ${slot} before it asked for a report and has none`,
  ],
  [
    'statistics-back',
    (counter, before, after) =>
      `statistics register ${counter} ran back from ${before >>> 0} to ${after >>> 0}`,
  ],
  [
    'statistics-behind',
    (taken, counted) =>
      `${taken >>> 0} frames had been taken by the last look, and the VF has counted ${counted >>> 0}`,
  ],
  [
    'interrupt-lost',
    (q, slot) => `Rx queue ${q}: slot ${slot} is completed, its interrupt is armed, and no interrupt came`,
  ],
  [
    'list-broken',
    (node, wanted, found) =>
      `the private list: the node at ${hex(node)} says ${hex(found)} instead of ${hex(wanted)}`,
  ],
  [
    'canary-gone',
    (address, wanted, found) =>
      `the word at ${hex(address)} beside a buffer says ${hex(found)} instead of ${hex(wanted)}`,
  ],
  ['clock-back', (us) => `the guest's clock ran back by ${us} us`],
  ['mac-changed', (low, high) => `the PF now says that the address is ${hex(high)}${hex(low)}`],
];

export type ComplaintKind =
  | 'frame-damaged'
  | 'frame-length'
  | 'completed-unposted'
  | 'out-of-order'
  | 'head-without-write-back'
  | 'head-outside'
  | 'tx-completed-unposted'
  | 'tx-head-outside'
  | 'tx-head-without-report'
  | 'statistics-back'
  | 'statistics-behind'
  | 'interrupt-lost'
  | 'list-broken'
  | 'canary-gone'
  | 'clock-back'
  | 'mac-changed';

export interface Complaint {
  readonly what: string;
  readonly sentence: string;
  readonly step: number;
}

export function complain(state: GuestState, kind: ComplaintKind, a = 0, b = 0, c = 0, d = 0): void {
  const { ram } = state;
  const count = ram.load(COMPLAINTS_AT);
  ram.store(COMPLAINTS_AT, count + 1);
  if (count >= MAX_RECORDS) return;
  const at = FIRST_RECORD + count * RECORD_BYTES;
  const number = 1 + KINDS.findIndex(([what]) => what === kind);
  [number, a, b, c, d, state.get('steps')].forEach((word, i) => {
    ram.store(at + 4 * i, word);
  });
}

/** @param ram the guest's RAM, or a copy of it */
export function readComplaints(ram: Uint8Array): readonly Complaint[] {
  const view = new DataView(ram.buffer, ram.byteOffset, ram.byteLength);
  const word = (at: number): number => view.getInt32(at, true);
  const count = Math.min(word(COMPLAINTS_AT) >>> 0, MAX_RECORDS);
  return Array.from({ length: count }, (_, i) => {
    const at = FIRST_RECORD + i * RECORD_BYTES;
    const [what, say] = KINDS[word(at) - 1] ?? ['unknown', () => 'a complaint that cannot be read'];
    const sentence = say(word(at + 4), word(at + 8), word(at + 12), word(at + 16));
    return { what, sentence, step: word(at + 20) };
  });
}

/** Steps of the guest so far, as its RAM has it. */
export function readSteps(ram: Uint8Array): number {
  return new DataView(ram.buffer, ram.byteOffset, ram.byteLength).getInt32(stateAddress(STATE.steps), true);
}
