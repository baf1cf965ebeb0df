/** What a run is asked for, and what it says afterwards. */
import type { LoadedPlugin } from '../../plugin/loader.js';
import type { EventLog } from '../clockwork/event-log.js';
import type { FaultKinds, PlannedFault } from './fault-plan.js';

export interface SimulationOptions {
  /** A safe integer; everything that is not given follows from it. */
  readonly seed: number;
  /** A loaded plugin, or its folder or package; plugins/srvm when left out. */
  readonly plugin?: LoadedPlugin | string;
  /** The plugin's option `mode`; by seed when left out. */
  readonly mode?: string;
  /** `scripted`, or the name of a built image; by seed when left out. */
  readonly image?: string;
  readonly faults: FaultKinds;
  /** Instead of the seed's. */
  readonly faultPlan?: readonly PlannedFault[];
  readonly keepLog?: 'none' | 'tail' | 'all';
}

/** A promise that was broken. */
export interface Problem {
  readonly promise: string;
  readonly sentence: string;
  /** Pages of guest RAM that it is about. */
  readonly pages?: readonly number[];
}

export interface SimulationResult {
  readonly seed: number;
  /** `stuck`: virtual time or events ran out, or nothing was left to happen. */
  readonly outcome: 'passed' | 'failed' | 'stuck';
  readonly problems: readonly Problem[];
  readonly logHash: string;
  readonly events: number;
  readonly virtualMs: number;
  readonly plan: readonly PlannedFault[];
  /** Coverage keys (coverage-keys.ts) and how often each was reached. */
  readonly reached: Readonly<Record<string, number>>;
  readonly notes: readonly string[];
  readonly log?: EventLog;
  /** In virtual time; names end in their unit. */
  readonly figures: Readonly<Record<string, number>>;
}
