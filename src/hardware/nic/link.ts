/** The port's link: what VFLINKS and LINKS say, and the PF's interrupt when it changes. */
import type { Clock } from '../clock.js';
import type { MsiSink } from '../pci/msi.js';
import { raisePf } from './interrupts.js';
import {
  EICR_LSC,
  LINKS,
  LINKS_SPEED_1G,
  LINKS_SPEED_10G,
  LINKS_SPEED_100M,
  LINKS_SPEED_SHIFT,
  LINKS_UP,
} from './offsets.js';
import { CONTROL, type NicShared, REGION } from './shared.js';

const WIRE_UP = REGION.control + CONTROL.wireUp;

/** The cable was plugged in or pulled: LINKS follows and the PF is interrupted. Does nothing when nothing changed. */
export function setLink(shared: NicShared, msi: MsiSink, clock: Clock, up: boolean): void {
  if (Atomics.exchange(shared.words, WIRE_UP, up ? 1 : 0) === (up ? 1 : 0)) return;
  updateLinks(shared);
  raisePf(shared, msi, clock, EICR_LSC);
}

/** LINKS as the cable and the port's speed have it (0 = unlimited counts as 10 Gb/s). */
export function updateLinks(shared: NicShared): void {
  const words = shared.words;
  const speedMbps = Atomics.load(words, REGION.control + CONTROL.linkSpeedMbps);
  let code: number = LINKS_SPEED_10G;
  if (speedMbps > 0 && speedMbps <= 100) code = LINKS_SPEED_100M;
  else if (speedMbps > 0 && speedMbps <= 1000) code = LINKS_SPEED_1G;
  const up = Atomics.load(words, WIRE_UP) !== 0;
  Atomics.store(words, LINKS >> 2, up ? LINKS_UP | (code << LINKS_SPEED_SHIFT) : 0);
}
