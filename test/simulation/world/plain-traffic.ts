/** Frames of one byte each, to the guest: nobody answers. */
import type { TrafficEnv } from '../../../src/simulation/world/cast.js';
import type { Traffic } from '../../../src/simulation/world/guest-kind.js';
import type { RunPlan } from '../../../src/simulation/world/plan.js';

export function plainTraffic(plan: RunPlan, { scheduler, choices, ether }: TrafficEnv): Traffic {
  const wire = ether.port('peer');
  const { framesPerSecond, minBytes, maxBytes, burst } = plan.traffic;
  let sent = 0;
  let stopped = false;
  const send = (): void => {
    if (stopped) return;
    for (let i = 0; i < burst; i++) {
      const frame = new Uint8Array(choices.between(minBytes, maxBytes)).fill(sent & 0xff);
      frame.set([0x52, 0x54, 0, 0, 0, 1, 0x52, 0x54, 0, 0, 0, 0x99, 0x88, 0xb5]);
      if (wire.transmit(frame, 0, frame.length)) sent++;
    }
    wire.flush();
    scheduler.at((burst * 1e9) / framesPerSecond, 'peer', send);
  };
  return {
    start: send,
    stop: () => {
      stopped = true;
    },
    complaints: () => [],
    answered: 0,
    get sent() {
      return sent;
    },
  };
}
