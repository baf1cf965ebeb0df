/**
 * Undoing on the source, before commitment: the guest goes on as if nothing had happened. Each step is tried whatever the
 * one before did, each has a limit, and the guest runs again as early as it can.
 *
 *   device.rollback -> vCPU resumed -> throttle off -> plain build      (the caller ends the tracker core afterwards)
 */
import type { DeviceMigrator } from './device-migrator.js';
import { messageOf } from './errors.js';
import { Interruptible } from './interruptible.js';
import type { Recovery } from './phases.js';
import type { SourceVm, TimerClock } from './ports.js';

const STEP_LIMIT_MS = 5000;

export interface RecoveryParts {
  readonly vm: SourceVm;
  readonly device: DeviceMigrator | null;
  /** Whether the guest was running when the migration took it over. */
  readonly wasRunning: boolean;
}

/** Returns a sentence for everything that went wrong while undoing. */
export async function recoverSource(
  recovery: Recovery,
  parts: RecoveryParts,
  clock: TimerClock,
): Promise<string[]> {
  const trouble: string[] = [];
  const { vm, device, wasRunning } = parts;
  const attempt = async (what: string, action: () => Promise<void>): Promise<void> => {
    await new Interruptible(clock).run(what, STEP_LIMIT_MS, action).catch((error) => {
      trouble.push(`while recovering, ${what}: ${messageOf(error)}`);
    });
  };
  if (recovery !== 'stop-tracking' && recovery !== 'resume-vm') return trouble;
  await attempt('rolling the device back', async () => device?.rollback());
  if (wasRunning && !vm.isRunning) await attempt('resuming the vCPU', () => vm.resume());
  await attempt('releasing the throttle', async () => vm.setThrottle(0));
  await attempt('switching to the plain build', () => vm.useBuild('plain'));
  return trouble;
}
