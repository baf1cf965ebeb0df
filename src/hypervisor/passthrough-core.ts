/**
 * A passed-through VF in a thread other than the main one: what a tracker's core sees. The handle crosses the thread; the
 * views are built on this side, and what they stand on stays hidden in them.
 */
import { blockThread, type Clock, realClock, type WordWait } from '../hardware/clock.js';
import { PfBar } from '../hardware/nic/pf-bar.js';
import { type NicHandle, NicShared } from '../hardware/nic/shared.js';
import { VfBar } from '../hardware/nic/vf-bar.js';
import { BAR_WORD, BarMap } from './bar-map.js';
import { GuestVfBar } from './guest-vf-bar.js';
import { InterruptRemap, type InterruptRoute } from './interrupt-remap.js';
import { openPfWindow, type RegisterWindow } from './pf-window.js';

declare const opaque: unique symbol;

/** Structured-cloneable, and closed: openPassthrough() makes views of it. */
export interface PassthroughHandle {
  readonly [opaque]: never;
}

/** What is in a handle. */
interface HandleParts {
  readonly vf: number;
  readonly nic: NicHandle;
  readonly memory: SharedArrayBuffer;
  readonly ramBytes: number;
  readonly barMap: SharedArrayBuffer;
  readonly routes: readonly InterruptRoute[];
}

/** Guest RAM: offsets are guest-physical addresses, and I/O virtual ones of the VF. */
export interface GuestRam {
  readonly bytes: number;
  readonly u8: Uint8Array;
  readonly i32: Int32Array;
}

export interface PassthroughView {
  readonly vf: number;
  readonly ram: GuestRam;
  readonly bar0: RegisterWindow;
  readonly bar3: RegisterWindow;
  readonly pf: RegisterWindow;
  readonly pages: BarMap;
  readonly clock: Clock;
  /** A sleeping core waits on it: a guest that needs a turn increments it. */
  readonly wake: { readonly words: Int32Array; readonly index: number };
}

export const closeHandle = (parts: HandleParts): PassthroughHandle => parts as unknown as PassthroughHandle;

export const guestRam = (memory: SharedArrayBuffer, ramBytes: number): GuestRam => ({
  bytes: ramBytes,
  u8: new Uint8Array(memory, 0, ramBytes),
  i32: new Int32Array(memory, 0, ramBytes >>> 2),
});

export function barWindow(bar: GuestVfBar, index: 0 | 3): RegisterWindow {
  return {
    read32: (offset) => bar.read32(index, offset),
    write32: (offset, value) => bar.write32(index, offset, value),
  };
}

export function openPassthrough(
  handle: PassthroughHandle,
  clock: Clock = realClock,
  wait: WordWait = blockThread,
): PassthroughView {
  const { vf, nic, memory, ramBytes, barMap, routes } = handle as unknown as HandleParts;
  const shared = new NicShared(nic, wait);
  const msi = new InterruptRemap(routes);
  const bar = new GuestVfBar(new VfBar(shared, vf, msi, clock), barMap);
  const pages = new BarMap(barMap, wait);
  return {
    vf,
    ram: guestRam(memory, ramBytes),
    bar0: barWindow(bar, 0),
    bar3: barWindow(bar, 3),
    pf: openPfWindow(new PfBar(shared, msi, clock), vf),
    pages,
    clock,
    wake: { words: pages.words, index: BAR_WORD.wake },
  };
}

/** The same under the name that the plugin host's core looks for. */
export const openCoreDevice = (handle: unknown): PassthroughView =>
  openPassthrough(handle as PassthroughHandle);
