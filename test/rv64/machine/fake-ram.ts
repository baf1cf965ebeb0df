/** Guest RAM of a few pages, with the log of what devices wrote. */
import { SharedDirtyMap } from '../../../src/machine/dirty-map.js';
import { GuestRam } from '../../../src/rv64/machine/guest-ram.js';
import { MAP } from '../../../src/rv64/machine/memory-map.js';

export const RAM_PAGES = 16;
export const RAM_BYTES = RAM_PAGES * 4096;
export const RAM = MAP.ram.base;

export function testRam() {
  const buffer = new SharedArrayBuffer(RAM_BYTES);
  const log = new SharedDirtyMap(new SharedArrayBuffer(RAM_PAGES), 0, RAM_PAGES);
  const ram = new GuestRam(buffer, RAM_BYTES, log);
  return { ram, log, bytes: new Uint8Array(buffer), view: new DataView(buffer) };
}
