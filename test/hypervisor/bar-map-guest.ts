/**
 * Worker of bar-map.test.ts: a guest's thread that accesses BAR0 without pause. Its device is a stub that says, in a shared
 * word, whether an access is in it right now.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { BarAccess } from '../../src/hypervisor/bar-access.js';
import type { GuestVfBar } from '../../src/hypervisor/guest-vf-bar.js';
import { CONTROL_BYTES } from '../../src/machine/layout.js';

export interface GuestData {
  readonly barMap: SharedArrayBuffer;
  /** Words: see WORD. */
  readonly words: SharedArrayBuffer;
  readonly control: SharedArrayBuffer;
  readonly task: 'hammer' | 'echo';
  readonly rounds: number;
}

export const WORD = { inside: 0, accesses: 1, stop: 2 } as const;
export const CONTROL_PAGE_BYTES = CONTROL_BYTES;
/** Registers of page 1 that the guest uses. */
export const REQUEST = 0x1000;
export const ANSWER = 0x1004;

const data = workerData as GuestData | null;
if (data !== null && parentPort !== null) run(data);

function run({ barMap, words: shared, control, task, rounds }: GuestData): void {
  const words = new Int32Array(shared);
  const linger = (): void => {
    Atomics.store(words, WORD.inside, 1);
    for (let i = 0; i < 300; i++) Atomics.load(words, WORD.inside);
    Atomics.store(words, WORD.inside, 0);
    Atomics.add(words, WORD.accesses, 1);
  };
  const device = {
    read32: () => {
      linger();
      return 0;
    },
    write32: linger,
  } as unknown as GuestVfBar;
  const access = new BarAccess(barMap, device, new Int32Array(control));
  if (task === 'hammer') {
    while (Atomics.load(words, WORD.stop) === 0) {
      access.write32(REQUEST, 1);
      access.read32(ANSWER);
    }
    parentPort!.postMessage('done');
    return;
  }
  let wrong = 0;
  for (let i = 1; i <= rounds; i++) {
    access.write32(REQUEST, i);
    if (access.read32(ANSWER) !== i * 3) wrong++;
  }
  parentPort!.postMessage(wrong);
}
