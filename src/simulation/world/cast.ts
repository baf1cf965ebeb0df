/** Who plays in a run: guest and traffic by the plan. */
import type { Choices } from '../clockwork/choices.js';
import type { Scheduler } from '../clockwork/scheduler.js';
import type { Ether } from '../network/ether.js';
import type { GuestKind, Traffic } from './guest-kind.js';
import type { RunPlan } from './plan.js';

export interface TrafficEnv {
  readonly scheduler: Scheduler;
  readonly choices: Choices;
  readonly ether: Ether;
}

export interface Cast {
  guest(plan: RunPlan): Promise<GuestKind>;
  traffic(plan: RunPlan, env: TrafficEnv): Traffic;
}

export const CAST: Cast = {
  guest: async () => {
    throw new Error('no guest yet');
  },
  traffic: () => {
    throw new Error('no traffic yet');
  },
};
