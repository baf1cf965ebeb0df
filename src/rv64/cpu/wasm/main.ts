/**
 * The core's entry points.
 *
 *   run:  [what others asked for: dirty log, attention] -> interrupt? -> a slice of instructions -> again
 */
import { dropCode, flushCode, resetCode, worthDropping } from './code';
import { cpu } from './host';
import { attentionWanted, flushStores, flushTlb, forgetFills, NOWHERE } from './mmu';
import { DIRTY_ACKNOWLEDGED, DIRTY_GENERATION, RESERVED_AT, RUN_ATTENTION, RUN_BUDGET, SIE } from './offsets';
import { exit, KEEP_RUNNING, runSlice } from './slice';
import { lookAtTimer, pendingInterrupts, takeInterrupt } from './trap';

/** Between two looks at what others want, in instructions. */
const SLICE: i32 = 8192;

/** Returns why it stopped: RUN_*. */
export function run(budget: i32): i32 {
  let left = budget;
  let untilLook = 0;
  while (true) {
    if (untilLook <= 0) {
      lookAtTimer();
      untilLook = SLICE;
    }
    answerDirtyLog();
    if (attentionWanted()) return RUN_ATTENTION;
    if (worthDropping !== NOWHERE) dropCode();
    takeInterrupt();
    if (left <= 0) return RUN_BUDGET;
    const slice = min(left, untilLook);
    // a step in which nothing ran (a fetch that faults) counts, or a trap loop would never end
    const ran = max(slice - runSlice(slice), 1);
    left -= ran;
    untilLook -= ran;
    if (exit !== KEEP_RUNNING) return exit;
  }
}

/** The harvester has taken the marks: pages must be marked anew from here on. */
function answerDirtyLog(): void {
  const generation = atomic.load<u32>(cpu, DIRTY_GENERATION);
  if (generation === load<u32>(cpu, DIRTY_ACKNOWLEDGED)) return;
  flushStores();
  atomic.store<u32>(cpu, generation, DIRTY_ACKNOWLEDGED);
}

/** Forgets all that was derived from memory and state: for a new instance, and after anybody wrote either. */
export function flush(): void {
  flushCode();
  resetCode();
  forgetFills();
  flushTlb();
  store<u32>(cpu, NOWHERE, RESERVED_AT);
}

/** For a vCPU that stands still: what run() would do at its next look. */
export function acknowledgeDirtyLog(): void {
  answerDirtyLog();
}

/** Would WFI return now? */
export function interruptPending(): bool {
  return (pendingInterrupts() & load<u64>(cpu, SIE)) !== 0;
}
