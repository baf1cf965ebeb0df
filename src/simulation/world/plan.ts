/**
 * What a seed means: who runs, how fast, under what traffic, over what link, with which parameters, and what goes wrong.
 * All of it is drawn before the run begins; each part from a stream of its own, so that one does not move the others.
 */
import { PAGE_BYTES } from '../../hardware/units.js';
import { DEFAULT_PARAMETERS, type MigrationParameters } from '../../migration/parameters.js';
import type { Choices } from '../clockwork/choices.js';
import {
  drawDiskFault,
  drawFaultPlan,
  drawVmmFault,
  type FaultKinds,
  type PlannedFault,
} from './fault-plan.js';

/** The guest of a run: the mean one, or a built image by its folder's name. */
export const SCRIPTED = 'scripted';
export const GUEST_MAC = '52:54:00:00:00:01';
/** The mode where the plugin has none. */
export const NO_MODE = '';

const MIB = 1 << 20;
const KIB = 1 << 10;

export interface CoreSpeeds {
  readonly engine: number;
  readonly vcpu: number;
  readonly tracker: number;
  /** How often a step is followed by a loss of the physical core, and for how long at most. */
  readonly preemptChance: number;
  readonly preemptNs: number;
}

export interface LinkPlan {
  readonly bytesPerSecond: number;
  readonly delayNs: number;
}

export interface TrafficPlan {
  readonly framesPerSecond: number;
  readonly minBytes: number;
  readonly maxBytes: number;
  /** Frames that come back to back. */
  readonly burst: number;
}

export interface RunPlan {
  readonly seed: number;
  readonly image: string;
  readonly ramBytes: number;
  /** What the guest draws its own chances from. */
  readonly guestSeed: number;
  /** The plugin's option `mode`. */
  readonly mode: string;
  /** Migrations in a row: there, back, there. */
  readonly hops: number;
  /** The one that goes through a file on a disk instead of a link; -1: none. */
  readonly diskHop: number;
  /** How long the guest runs before the first, and between two. */
  readonly settleNs: number;
  readonly speeds: CoreSpeeds;
  readonly link: LinkPlan;
  readonly traffic: TrafficPlan;
  readonly linkSpeedMbps: number;
  readonly parameters: MigrationParameters;
  /** Pages in one frame of the stream. */
  readonly batchPages: number;
  readonly faults: readonly PlannedFault[];
}

export interface PlanWishes {
  readonly image?: string | undefined;
  readonly mode?: string | undefined;
  /** What the plugin's option `mode` may be; empty where it has none. */
  readonly modes: readonly string[];
  readonly faults: FaultKinds;
  readonly faultPlan?: readonly PlannedFault[] | undefined;
}

const US = 1_000;
const MS = 1_000_000;

/** Every third seed runs without faults: then every migration must succeed. */
const FAULT_FREE_CHANCE = 1 / 3;
/** The VMM itself fails. */
const VMM_CHANCE = 1 / 16;
/** A VM saved to a file and restored elsewhere. */
const DISK_CHANCE = 1 / 12;

export function drawPlan(seed: number, choices: Choices, wishes: PlanWishes): RunPlan {
  const shape = choices.fork('shape');
  const hops = shape.weighted([
    [1, 3],
    [2, 5],
    [3, 1],
  ]);
  const mode = wishes.mode ?? (wishes.modes.length === 0 ? NO_MODE : shape.pick(wishes.modes));
  const settleNs = shape.between(200 * US, 3 * MS);
  const ramBytes = shape.pick([2, 2, 4, 16]) * MIB;
  const diskHop = shape.chance(DISK_CHANCE) ? shape.int(hops) : -1;
  return {
    seed,
    image: wishes.image ?? SCRIPTED,
    ramBytes,
    guestSeed: choices.fork('guest').nextU32(),
    mode,
    hops,
    diskHop,
    settleNs,
    speeds: drawSpeeds(choices.fork('speeds')),
    link: drawLink(choices.fork('link')),
    traffic: drawTraffic(choices.fork('traffic')),
    linkSpeedMbps: shape.weighted([
      [10_000, 4],
      [1_000, 1],
      [0, 1],
    ]),
    parameters: drawParameters(choices.fork('parameters'), ramBytes, diskHop >= 0),
    batchPages: shape.pick([1, 4, 16, 64]),
    faults: wishes.faultPlan ?? drawFaults(choices.fork('faults'), wishes.faults, hops, diskHop),
  };
}

function drawFaults(
  choices: Choices,
  kinds: FaultKinds,
  hops: number,
  diskHop: number,
): readonly PlannedFault[] {
  if (kinds.length === 0 || choices.chance(FAULT_FREE_CHANCE)) return [];
  const full = kinds.includes('disk') && diskHop >= 0 && choices.chance(0.7) ? [drawDiskFault(choices)] : [];
  const vmm = choices.fork('vmm');
  const own = kinds.includes('vmm') && vmm.chance(VMM_CHANCE) ? [drawVmmFault(vmm, hops)] : [];
  return [...full, ...own, ...drawFaultPlan(choices, kinds, hops)];
}

function drawSpeeds(choices: Choices): CoreSpeeds {
  const speed = (): number => choices.pick([0.3, 0.7, 1, 1, 1, 2]);
  return {
    engine: speed(),
    vcpu: speed(),
    tracker: choices.pick([0.1, 0.5, 1, 1, 1, 2]),
    preemptChance: choices.weighted([
      [0, 2],
      [0.001, 2],
      [0.02, 1],
    ]),
    preemptNs: choices.pick([20 * US, 200 * US, 3 * MS]),
  };
}

function drawLink(choices: Choices): LinkPlan {
  return {
    bytesPerSecond: choices.pick([600 * MIB, 1200 * MIB, 1200 * MIB, 4000 * MIB]),
    delayNs: choices.between(2 * US, choices.pick([20 * US, 500 * US])),
  };
}

function drawTraffic(choices: Choices): TrafficPlan {
  const sizes = choices.weighted<readonly [number, number]>([
    [[60, 60], 3],
    [[60, 1514], 4],
    [[1514, 1514], 3],
  ]);
  return {
    framesPerSecond: choices.weighted([
      [20_000, 3],
      [80_000, 3],
      [250_000, 3],
      [1_000_000, 1],
    ]),
    minBytes: sizes[0],
    maxBytes: sizes[1],
    burst: choices.pick([1, 1, 4, 32, 200]),
  };
}

/**
 * Patience is short in a simulation: a link that hangs costs events while it is waited for. So does a slow one: all of RAM
 * goes over it in 10 ms at most.
 */
function drawParameters(choices: Choices, ramBytes: number, hasDisk: boolean): MigrationParameters {
  // after a lap all of RAM is due once more when the guest is stopped, and a disk may take it page by page
  const diskMs = hasDisk ? Math.ceil((ramBytes / PAGE_BYTES) * DISK_PAGE_MS) : 0;
  return {
    ...DEFAULT_PARAMETERS,
    'max-bandwidth': choices.weighted([
      [0, 4],
      [ramBytes * 100, 1],
      [choices.between(100, 900) * MIB + ramBytes * 100, 2],
    ]),
    'downtime-limit': choices.pick([0, 1, 5, 300]),
    'x-srvm-max-rounds': choices.pick([1, 2, 4, 7]),
    'x-srvm-polish-rounds': choices.pick([0, 1, 4]),
    'x-srvm-auto-converge': choices.chance(0.2),
    'x-srvm-verify': choices.chance(0.5),
    'x-srvm-step-timeout': STEP_LIMIT_MS + diskMs,
  };
}

/** More than the slowest disk takes for a page by itself. */
const DISK_PAGE_MS = 0.3;
/** Of each step of the protocol, on both sides. */
export const STEP_LIMIT_MS = 50;
/** The longest silence of a source that owes something, and of a destination that takes nothing. */
export const SILENCE_LIMIT_MS = 40;
export const STALL_LIMIT_MS = 30;
/** A frame of the stream at most. */
export const MAX_BATCH_BYTES = 64 * 4 * KIB;
