/** Every promise, with the memory it needs for one run. */
import { everyInterrupt } from './every-interrupt.js';
import { everyWriteMarked } from './every-write-marked.js';
import { guestContent } from './guest-content.js';
import { noFaultNoFailure } from './no-fault-no-failure.js';
import { noPageLost } from './no-page-lost.js';
import { nothingLeaked } from './nothing-leaked.js';
import { oneRunningVm } from './one-running-vm.js';
import type { WorldPromise } from './promise.js';
import { repliesWhole } from './replies-whole.js';
import { sourceIntact } from './source-intact.js';

export const makePromises = (): readonly WorldPromise[] => [
  noPageLost(),
  noFaultNoFailure(),
  everyWriteMarked(),
  oneRunningVm(),
  sourceIntact(),
  everyInterrupt(),
  guestContent(),
  repliesWhole(),
  nothingLeaked(),
];
