/**
 * What the host needs of the hypervisor for one passed-through VF: the view plugins get, and a handle by which the core's
 * thread opens its own. The hypervisor's passthrough provides one; the conformance kit and the simulator build theirs.
 */
import type { ExitPort } from '../hypervisor/exit-hook.js';
import type { DeviceContext } from './definition.js';
import type { DeviceView } from './device-view.js';

/** The device half of a DeviceContext: everything but what the host adds. */
export type DeviceParts = Omit<DeviceContext, 'options' | 'note' | 'waitUntil'>;

export interface DeviceAccess {
  readonly parts: DeviceParts;
  /** Structured-cloneable; openCoreDevice() of `opener` makes a view of it in another thread. */
  readonly handle: unknown;
  /** Module that exports `openCoreDevice(handle): CoreDevice`. */
  readonly opener: URL;
  /** The way to the thread that makes the guest's accesses. */
  readonly exits: Pick<ExitPort, 'install'>;
  /** Where a sleeping core of this VF waits. */
  readonly wake: WakeWord;
}

/** One Int32 word that a sleeping core waits on; whoever wants its attention adds 1 and notifies. */
export interface WakeWord {
  readonly words: Int32Array;
  readonly index: number;
}

export interface CoreDevice extends DeviceView {
  /** The hypervisor's own wake word: a guest that waits for a turn uses it. */
  readonly wake: WakeWord;
}

export interface CoreDeviceModule {
  openCoreDevice(handle: unknown): CoreDevice;
}
