/**
 * What goes wrong in a run, and when: plain JSON, drawn from the seed before the run begins, so that a plan can be printed,
 * kept with a bug report, and shortened by leaving faults out.
 *
 *   seed -> drawFaultPlan() -> [{ when, what }, ...] -> FaultInjector (fault-injector.ts) -> the world
 */
import type { PhaseName } from '../../migration/phases.js';
import type { Choices } from '../clockwork/choices.js';

/** The families that a user switches on and off. */
export const FAULT_KINDS = ['net', 'crash', 'sched', 'plugin', 'disk', 'cancel', 'vmm'] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];
export type FaultKinds = readonly FaultKind[];

/** When a fault strikes. */
export type FaultMoment =
  /** Virtual nanoseconds after the first migration began. */
  | { readonly atNs: number }
  /** Before the event of this number in the log. */
  | { readonly atEvent: number }
  /** So long after the source entered a phase; `round` of pre-copy, 0 for phases without. Hop 0 is there, 1 back. */
  | { readonly atPhase: PhaseName; readonly hop: number; readonly round: number; readonly afterNs: number };

/** Methods of a plugin that can be made to throw; `core-step` is a step of its core. */
export const PLUGIN_CALLS = [
  'createTracker',
  'start',
  'beforeHarvest',
  'quiesce',
  'saveDevice',
  'restoreDevice',
  'rollbackDevice',
  'announce',
  'stop',
  'createCore',
  'core-step',
] as const;
export type PluginCall = (typeof PLUGIN_CALLS)[number];

/** What a VMM does itself, beside the plugin, and can fail to do; each at the one moment when it does it. */
export const VMM_CALLS = [
  /** Source, before anything has begun: which plugin the destination must have. */
  'identity',
  /** Destination: a place for the guest. */
  'reserve',
  /** Destination, committed: the guest is to run. */
  'resume',
  /** Source, the destination runs: its own VM is let go of. */
  'retire',
] as const;
export type VmmCall = (typeof VMM_CALLS)[number];

export type StallTarget = 'engine' | 'vcpu' | 'tracker';

export type FaultAction =
  | {
      readonly kind: 'net';
      readonly what: 'ether-loss' | 'ether-duplicate' | 'ether-reorder';
      readonly chance: number;
      readonly forNs: number;
    }
  | { readonly kind: 'net'; readonly what: 'ether-partition' | 'link-stall'; readonly forNs: number }
  | { readonly kind: 'net'; readonly what: 'link-cut' | 'link-corrupt' }
  | {
      readonly kind: 'net';
      readonly what: 'link-slow';
      readonly bytesPerSecond: number;
      readonly forNs: number;
    }
  | { readonly kind: 'crash'; readonly what: 'crash-source' | 'crash-destination' }
  /** Its `nth` call from then on throws. */
  | {
      readonly kind: 'plugin';
      readonly what: 'plugin-throws';
      readonly call: PluginCall;
      readonly nth: number;
    }
  /** Its next call from then on throws. */
  | { readonly kind: 'vmm'; readonly what: 'vmm-throws'; readonly call: VmmCall }
  /** Saving to a file: so many bytes fit. */
  | { readonly kind: 'disk'; readonly what: 'disk-full'; readonly afterBytes: number }
  | { readonly kind: 'cancel'; readonly what: 'cancel'; readonly by: 'source' | 'destination' }
  | {
      readonly kind: 'sched';
      readonly what: 'core-stall';
      readonly core: StallTarget;
      readonly forNs: number;
    }
  | {
      readonly kind: 'sched';
      readonly what: 'tracker-lag' | 'slow-vcpu';
      /** Times slower. */
      readonly factor: number;
      readonly forNs: number;
    };

export type PlannedFault = FaultMoment & FaultAction;

/** Faults of the disk and of the VMM are drawn apart. */
type DrawnKind = Exclude<FaultKind, 'disk' | 'vmm'>;

const US = 1_000;
const MS = 1_000_000;
const PHASES_TO_STRIKE: readonly PhaseName[] = [
  'reservation',
  'pre-copy',
  'pre-copy',
  'pre-copy',
  'stop-and-copy',
  'stop-and-copy',
  'commitment',
  'activation',
  'done',
];

/**
 * The faults of one seed, by moment. Half of them have one.
 * @param hops how many migrations the run has
 */
export function drawFaultPlan(choices: Choices, kinds: FaultKinds, hops: number): PlannedFault[] {
  const available = kinds.filter((kind): kind is DrawnKind => kind !== 'disk' && kind !== 'vmm');
  if (available.length === 0) return [];
  const count = choices.weighted([
    [1, 5],
    [2, 3],
    [choices.between(3, 6), 2],
  ]);
  return Array.from({ length: count }, () => {
    const action = drawAction(choices, choices.pick(available));
    return { ...drawMoment(choices, hops), ...action };
  });
}

function drawMoment(choices: Choices, hops: number): FaultMoment {
  if (choices.chance(0.2)) return { atNs: choices.between(0, 30 * MS) };
  const phase = choices.pick(PHASES_TO_STRIKE);
  const hop = choices.int(hops);
  // mostly within what a phase takes, now and then far out
  const afterNs = choices.chance(0.3) ? 0 : choices.between(0, choices.pick([20 * US, 300 * US, 5 * MS]));
  return { atPhase: phase, hop, round: phase === 'pre-copy' ? choices.between(1, 4) : 0, afterNs };
}

function drawAction(choices: Choices, kind: DrawnKind): FaultAction {
  switch (kind) {
    case 'net':
      return drawNetFault(choices);
    case 'crash':
      return { kind, what: choices.pick(['crash-source', 'crash-destination'] as const) };
    case 'plugin':
      return { kind, what: 'plugin-throws', call: choices.pick(PLUGIN_CALLS), nth: 1 + choices.int(3) };
    case 'cancel':
      return { kind, what: 'cancel', by: choices.chance(0.7) ? 'source' : 'destination' };
    case 'sched':
      return drawSchedulingFault(choices);
  }
}

function drawNetFault(choices: Choices): FaultAction {
  const kind = 'net';
  const what = choices.pick([
    'ether-loss',
    'ether-duplicate',
    'ether-reorder',
    'ether-partition',
    'link-stall',
    'link-cut',
    'link-corrupt',
    'link-slow',
  ] as const);
  const forNs = choices.between(50 * US, 20 * MS);
  switch (what) {
    case 'ether-loss':
    case 'ether-duplicate':
    case 'ether-reorder':
      return { kind, what, chance: choices.between(1, 50) / 100, forNs };
    case 'ether-partition':
      return { kind, what, forNs };
    case 'link-stall':
      // shorter than patience, or so long that the other side counts as gone
      return { kind, what, forNs: choices.chance(0.3) ? 300 * MS : forNs };
    case 'link-slow':
      return { kind, what, bytesPerSecond: choices.between(1 << 20, 64 << 20), forNs };
    default:
      return { kind, what };
  }
}

function drawSchedulingFault(choices: Choices): FaultAction {
  const kind = 'sched';
  const forNs = choices.between(20 * US, choices.pick([500 * US, 5 * MS, 30 * MS]));
  if (choices.chance(0.5)) {
    const core = choices.pick(['engine', 'vcpu', 'tracker', 'tracker'] as const);
    return { kind, what: 'core-stall', core, forNs };
  }
  const factor = choices.pick([2, 5, 20, 100]);
  return { kind, what: choices.pick(['tracker-lag', 'tracker-lag', 'slow-vcpu'] as const), factor, forNs };
}

/** Only where a migration goes through a file. The smallest file has some ten kilobytes. */
export function drawDiskFault(choices: Choices): PlannedFault {
  const afterBytes = choices.between(0, choices.pick([16 << 10, 256 << 10, 2 << 20]));
  return { atNs: 0, kind: 'disk', what: 'disk-full', afterBytes };
}

/** When each is armed: a phase that precedes its call. */
const VMM_MOMENTS: Readonly<Record<VmmCall, PhaseName>> = {
  identity: 'pre-migration',
  reserve: 'pre-migration',
  resume: 'stop-and-copy',
  retire: 'commitment',
};

/** One call of one migration. */
export function drawVmmFault(choices: Choices, hops: number): PlannedFault {
  const call = choices.pick(VMM_CALLS);
  const moment = { atPhase: VMM_MOMENTS[call], hop: choices.int(hops), round: 0, afterNs: 0 };
  return { ...moment, kind: 'vmm', what: 'vmm-throws', call };
}
