/** Who plays in a run: guest and traffic by the plan. */
import type { Choices } from '../clockwork/choices.js';
import type { Scheduler } from '../clockwork/scheduler.js';
import { isSimulatedImage, SIMULATED_IMAGES } from '../guests/simulated-images.js';
import type { Ether } from '../network/ether.js';
import { FloodPeer } from '../network/peers/flood-peer.js';
import type { GuestKind, Traffic } from './guest-kind.js';
import { castImageGuest, castImageTraffic } from './image-guest.js';
import { GUEST_MAC, type RunPlan, SCRIPTED } from './plan.js';
import { castScriptedGuest } from './scripted-guest.js';

export interface TrafficEnv {
  readonly scheduler: Scheduler;
  readonly choices: Choices;
  readonly ether: Ether;
}

export interface Cast {
  guest(plan: RunPlan): Promise<GuestKind>;
  traffic(plan: RunPlan, env: TrafficEnv): Traffic;
}

/** An image that no simulation knows. */
export class UnknownImageError extends Error {
  override readonly name = 'UnknownImageError';
}

/** @throws UnknownImageError */
export function requireImage(name: string): void {
  const known = [SCRIPTED, ...Object.keys(SIMULATED_IMAGES)];
  if (!known.includes(name))
    throw new UnknownImageError(`there is no image '${name}' to simulate; there are: ${known.join(', ')}`);
}

const PEER_MAC = '52:54:00:00:00:99';

export const CAST: Cast = {
  async guest(plan) {
    const { image } = plan;
    requireImage(image);
    return isSimulatedImage(image) ? await castImageGuest(image) : castScriptedGuest(plan);
  },
  traffic(plan, { scheduler, choices, ether }) {
    const station = { scheduler, choices, wire: ether.port('peer'), mac: PEER_MAC };
    if (isSimulatedImage(plan.image)) return castImageTraffic(plan.image, plan, station);
    return new FloodPeer({
      ...station,
      target: GUEST_MAC,
      traffic: plan.traffic,
    });
  },
};
