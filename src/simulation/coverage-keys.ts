/**
 * What a simulation can reach: every key that `SimulationResult.reached` may count, by group. A campaign prints what its
 * seeds reached and, by name, what none of them did. A key that is counted and not declared here is printed too.
 *
 *   world, guests, network --reach(key)--> SimulationResult.reached --sum over seeds--> the table of campaign/coverage.ts
 */

import { GUEST_COVERAGE } from './guests/scripted/counters.js';

/** One group of keys; a key's full name is `group:key`. */
export interface CoverageGroup {
  readonly group: string;
  /** What is counted, for the table's head. */
  readonly what: string;
  readonly keys: readonly string[];
}

export const COVERAGE: readonly CoverageGroup[] = [
  {
    group: 'phase',
    what: 'phases that the source entered',
    keys: [
      'pre-migration',
      'reservation',
      'pre-copy',
      'stop-and-copy',
      'commitment',
      'activation',
      'done',
      'failed',
      'cancelled',
    ],
  },
  {
    group: 'outcome',
    what: "how the source's migration ended",
    keys: ['completed', 'failed', 'cancelled', 'outcome-unknown'],
  },
  {
    group: 'failed-during',
    what: 'the phase in which it failed or was cancelled',
    keys: ['pre-migration', 'reservation', 'pre-copy', 'stop-and-copy', 'commitment', 'activation'],
  },
  {
    group: 'recovery',
    what: 'how the source got back',
    keys: [
      'nothing-to-undo',
      'close-stream',
      'stop-tracking',
      'resume-vm',
      'stay-stopped',
      'destination-owns',
    ],
  },
  {
    group: 'destination',
    what: 'where the destination ended',
    keys: ['running', 'failed', 'crashed'],
  },
  {
    group: 'fault',
    what: 'faults that took effect',
    keys: [
      'ether-loss',
      'ether-duplicate',
      'ether-reorder',
      'ether-partition',
      'link-stall',
      'link-cut',
      'link-corrupt',
      'link-slow',
      'crash-source',
      'crash-destination',
      'plugin-throws',
      'vmm-throws',
      'disk-full',
      'cancel',
      'core-stall',
      'tracker-lag',
      'slow-vcpu',
    ],
  },
  {
    group: 'tracker',
    what: 'what the tracker met',
    keys: ['lapped', 'ring-programmed', 'device-reset', 'descriptors-followed'],
  },
  {
    group: 'guest',
    what: 'what the guest did while it was tracked',
    keys: GUEST_COVERAGE,
  },
  {
    group: 'interleaving',
    what: 'where DMA landed between a harvest and the copies after it',
    keys: [
      'write-before-copy',
      'write-after-copy',
      'copy-torn',
      'dma-while-harvested',
      'dma-while-quiescing',
    ],
  },
];

/** Every declared key by its full name, in the table's order. */
export const COVERAGE_KEYS: readonly string[] = COVERAGE.flatMap(({ group, keys }) =>
  keys.map((key) => `${group}:${key}`),
);
