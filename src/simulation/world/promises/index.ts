/** Every promise, with the memory it needs for one run. */
import { everyWriteMarked } from './every-write-marked.js';
import { guestContent } from './guest-content.js';
import { noPageLost } from './no-page-lost.js';
import { nothingLeaked } from './nothing-leaked.js';
import { oneRunningVm } from './one-running-vm.js';
import type { WorldPromise } from './promise.js';
import { repliesWhole } from './replies-whole.js';
import { sourceIntact } from './source-intact.js';

export const makePromises = (): readonly WorldPromise[] => [
  noPageLost(),
  everyWriteMarked(),
  oneRunningVm(),
  sourceIntact(),
  guestContent(),
  repliesWhole(),
  nothingLeaked(),
];
