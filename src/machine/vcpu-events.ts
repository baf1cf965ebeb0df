/**
 * What a vCPU worker tells the main thread, over a message port of their own. Rare events only: nothing on a packet's
 * path is a message.
 */

/** Why a guest can go on no more. */
export interface TrapReport {
  /** One sentence. */
  readonly message: string;
  /** Function names and offsets as the engine gives them, innermost first. */
  readonly stack: readonly string[];
}

export type VcpuEvent =
  /** Both builds are compiled and instantiated: resume takes effect at once. */
  | { readonly kind: 'prepared' }
  | { readonly kind: 'running'; readonly atNs: number }
  /** `order` is the number of the order that it answers. */
  | { readonly kind: 'paused'; readonly order: number; readonly atNs: number }
  | { readonly kind: 'build'; readonly build: number }
  | { readonly kind: 'halted'; readonly exitCode: number; readonly atNs: number }
  | { readonly kind: 'trapped'; readonly report: TrapReport; readonly atNs: number }
  /** The worker was told to stop: the guest's memory is no longer used. */
  | { readonly kind: 'stopped' }
  | { readonly kind: 'console'; readonly line: string }
  /** What a guest with a terminal wrote there. */
  | { readonly kind: 'terminal'; readonly bytes: Uint8Array };
