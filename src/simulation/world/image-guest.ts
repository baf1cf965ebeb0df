/** A built image as the world casts it, and the production loads that it answers. */
import { createImageVcpu } from '../guests/image-vcpu.js';
import { loadSimulatedImage, SIMULATED_IMAGES, type SimulatedImageName } from '../guests/simulated-images.js';
import { EchoPeer } from '../network/peers/echo-peer.js';
import { KvPeer } from '../network/peers/kv-peer.js';
import { SinkPeer } from '../network/peers/sink-peer.js';
import type { StationOptions } from '../network/peers/station-peer.js';
import type { GuestKind, Traffic } from './guest-kind.js';
import type { RunPlan, TrafficPlan } from './plan.js';

const PEER_IP = '10.0.0.1';
const GUEST_IP = '10.0.0.2';
/** More than an image answers in its slices only fills queues. */
const MOST_REQUESTS_PER_SECOND = 50_000;

export async function castImageGuest(name: SimulatedImageName): Promise<GuestKind> {
  return {
    image: await loadSimulatedImage(name),
    commandLine: SIMULATED_IMAGES[name].commandLine,
    startVcpu: ({ scheduler, choices, host, speeds }, boot, events) =>
      createImageVcpu(boot, events, {
        scheduler,
        choices,
        host: host.time,
        speed: speeds.vcpu,
        preempt: { chance: speeds.preemptChance, minNs: 1_000, maxNs: speeds.preemptNs },
        beforeRead: () => host.windows.beforeRead(null),
        afterWrite: () => host.windows.afterWrite(),
      }),
    // its peers find out what is wrong with it
    complaints: () => [],
    progress: (_memory, traffic) => traffic.answered,
    deeds: () => ({}),
  };
}

export function castImageTraffic(
  name: SimulatedImageName,
  plan: RunPlan,
  station: Omit<StationOptions, 'ip' | 'targetIp'>,
): Traffic {
  const options = { ...station, ip: PEER_IP, targetIp: GUEST_IP, traffic: bearable(plan.traffic) };
  if (name === 'kv-store') return new KvPeer(options);
  if (name === 'packet-source') return new SinkPeer(options);
  return new EchoPeer(options);
}

const bearable = (traffic: TrafficPlan): TrafficPlan => ({
  ...traffic,
  framesPerSecond: Math.min(traffic.framesPerSecond, MOST_REQUESTS_PER_SECOND),
});
