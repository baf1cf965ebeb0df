/**
 * Drives a step function from this thread's event loop: again at once (after sockets were polled) while it has work,
 * asleep when it has none, until it is woken or its next deadline comes.
 */
import type { Clock } from '../clock.js';

export interface Steppable {
  /** Does what can be done now; returns how much that was, 0 when idle. */
  step(): number;
  /** When it wants to be stepped again though nothing arrives; Infinity for never. */
  nextDueNs(): number;
  /** The driver sets it; called when something arrived. */
  onWake: (() => void) | null;
}

export interface LoopHandle {
  /** Resolves after the last step. */
  stop(): Promise<void>;
}

/** Empty steps before sleeping: a reply is often one poll away. */
const IDLE_STEPS = 4;
const MAX_SLEEP_MS = 1000;

export function driveFromEventLoop(target: Steppable, clock: Clock): LoopHandle {
  let stopped = false;
  let idleSteps = 0;
  let scheduled: NodeJS.Immediate | null = null;
  let timer: NodeJS.Timeout | null = null;
  const run = (): void => {
    scheduled = null;
    if (stopped) return;
    const busy = target.step() > 0;
    // The step itself may have woken us (a cable whose ends are both here).
    if (scheduled !== null || stopped) return;
    idleSteps = busy ? 0 : idleSteps + 1;
    if (idleSteps < IDLE_STEPS) {
      scheduled = setImmediate(run);
      return;
    }
    const dueMs = (target.nextDueNs() - clock.nowNs()) / 1e6;
    timer = setTimeout(wake, Math.min(MAX_SLEEP_MS, Math.max(0, dueMs)));
  };
  const wake = (): void => {
    idleSteps = 0;
    if (timer !== null) clearTimeout(timer);
    timer = null;
    if (scheduled === null && !stopped) scheduled = setImmediate(run);
  };
  target.onWake = wake;
  wake();
  return {
    stop: async () => {
      stopped = true;
      target.onWake = null;
      if (scheduled !== null) clearImmediate(scheduled);
      if (timer !== null) clearTimeout(timer);
      timer = null;
      scheduled = null;
    },
  };
}
