/** How often the guest did what: words of its state page. */
import { STATE, stateAddress } from './places.js';
import type { GuestState } from './state.js';

/** What the guest did to its VF: coverage keys of a simulation. */
export const GUEST_COVERAGE = [
  'ring-moved',
  'ring-resized',
  'queue-toggled',
  'vf-reset',
  'buffers-moved',
  'page-shared',
  'tail-burst',
  'ring-wrapped',
  'header-split',
  'buffer-straddles',
  'tx-context',
  'tx-segmentation',
  'tx-head-write-back',
  'interrupt-masked',
  'statistics-read',
] as const;

export const COUNTERS = [
  ...GUEST_COVERAGE,
  'framesTaken',
  'framesForeign',
  'framesTwice',
  'framesSent',
  'framesCompleted',
  'pagesDirtied',
  'listUpdates',
  'interrupts',
  'silentWaits',
  'mailboxTimeouts',
  'enableTimeouts',
  'setUps',
  'noBuffers',
] as const;
export type GuestCounter = (typeof COUNTERS)[number];

const INDEX = new Map<GuestCounter, number>(COUNTERS.map((name, i) => [name, i]));

export function count(state: GuestState, counter: GuestCounter, by = 1): void {
  const address = stateAddress(STATE.counters + INDEX.get(counter)!);
  state.ram.store(address, state.ram.load(address) + by);
}

export const readCounter = (state: GuestState, counter: GuestCounter): number =>
  state.ram.load(stateAddress(STATE.counters + INDEX.get(counter)!));

/** @param ram the guest's RAM, or a copy of it */
export function readGuestCounters(ram: Uint8Array): Record<GuestCounter, number> {
  const view = new DataView(ram.buffer, ram.byteOffset, ram.byteLength);
  const entries = COUNTERS.map((name, i) => [name, view.getUint32(stateAddress(STATE.counters + i), true)]);
  return Object.fromEntries(entries) as Record<GuestCounter, number>;
}
