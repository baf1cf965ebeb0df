/** What crosses the port between the host and a core's thread. Rare things only: nothing per turn, nothing per packet. */

export interface CoreWorkerData {
  /** Module of the plugin that exports createCore. */
  readonly module: string;
  readonly data: unknown;
  /** Module that exports openCoreDevice, and what to hand it. */
  readonly opener: string;
  readonly handle: unknown;
  readonly control: SharedArrayBuffer;
  readonly shared: SharedArrayBuffer;
  readonly dirty: SharedArrayBuffer;
  readonly dirtyPages: number;
}

export interface CoreReport {
  /** Thread CPU time over the core's whole life, its start included. */
  readonly cpuNs: number;
  /** Thread CPU time from the first turn to the last. */
  readonly loopCpuNs: number;
  readonly aliveNs: number;
  readonly counters: Readonly<Record<string, number>>;
}

export type CoreMessage =
  | { readonly kind: 'ready' }
  | { readonly kind: 'turn'; readonly sequence: number }
  | { readonly kind: 'note'; readonly text: string }
  | { readonly kind: 'ended'; readonly report: CoreReport }
  | { readonly kind: 'failed'; readonly message: string; readonly report: CoreReport | null };
