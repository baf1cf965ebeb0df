/** The mean guest of ../guests/scripted, as the world casts it. */

import { readComplaints } from '../guests/scripted/complaints.js';
import { GUEST_COVERAGE, readGuestCounters } from '../guests/scripted/counters.js';
import { scriptedImage } from '../guests/scripted/image.js';
import { createScriptedVcpu } from '../guests/scripted/scripted-vcpu.js';
import type { GuestKind } from './guest-kind.js';
import type { RunPlan } from './plan.js';

export function castScriptedGuest(plan: RunPlan): GuestKind {
  const { ramBytes } = plan;
  const ramOf = (memory: WebAssembly.Memory): Uint8Array => new Uint8Array(memory.buffer, 0, ramBytes);
  return {
    image: scriptedImage(ramBytes),
    commandLine: `seed=${plan.guestSeed}`,
    startVcpu: ({ scheduler, choices, host, speeds }, boot, events) => {
      const vcpu = createScriptedVcpu(boot, events, {
        scheduler,
        choices,
        host: host.time,
        speed: speeds.vcpu,
        preempt: { chance: speeds.preemptChance, minNs: 1_000, maxNs: speeds.preemptNs },
        // its own point comes first
        beforeRead: () => host.windows.beforeRead(null),
        afterWrite: () => host.windows.afterWrite(),
      });
      return vcpu;
    },
    complaints: (memory) =>
      readComplaints(ramOf(memory)).map(({ sentence, step }) => `${sentence} (step ${step})`),
    progress: (memory) => readGuestCounters(ramOf(memory)).framesTaken,
    deeds: (memory) => {
      const counters = readGuestCounters(ramOf(memory));
      return Object.fromEntries(GUEST_COVERAGE.map((name) => [name, counters[name]]));
    },
  };
}
