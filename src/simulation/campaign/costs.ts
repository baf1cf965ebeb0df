/**
 * What the steps of each core cost, as measured on one machine: what figures in virtual time are made from. Runs from seeds
 * have fixed costs of their own (../world/costs.ts), so that a seed means the same everywhere.
 */

/** A cost that grows with size: `ns + bytes * nsPerByte`. */
export interface SizedCost {
  readonly ns: number;
  readonly nsPerByte: number;
}

export interface MeasuredCosts {
  /** Which machine, when: printed with every figure made from them. */
  readonly measuredOn: string;
  /** The NIC's engine: a step that finds nothing; each received frame. */
  readonly engineStepNs: number;
  readonly engineFrame: SizedCost;
  /** A guest that does nothing with a frame but take it and refill its slot. */
  readonly guestFrameNs: number;
  /** The tracker's core: a turn that finds nothing, each descriptor in it. */
  readonly trackerTurnNs: number;
  readonly trackerDescriptorNs: number;
  /** A short sleep of a thread: CPU time that it costs, and how much longer than asked it lasts. */
  readonly sleepCpuNs: number;
  readonly wakeLateNs: number;
  /** The sender: a page with data (looked at, copied, hashed), a zero page. */
  readonly pageNs: number;
  readonly zeroPageNs: number;
}

export const costOf = ({ ns, nsPerByte }: SizedCost, bytes: number): number => ns + bytes * nsPerByte;
