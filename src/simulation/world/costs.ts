/** What a step of each core costs in virtual time, at speed 1: a core of today's servers, rounded. */
export interface StepCosts {
  readonly engineStepNs: number;
  readonly engineFrameNs: number;
  /** A turn of the tracker's core that finds nothing, and each unit of work it reports. */
  readonly trackerTurnNs: number;
  readonly trackerWorkNs: number;
  /** Each register read of the tracker's core. */
  readonly registerReadNs: number;
}

export const COSTS: StepCosts = {
  engineStepNs: 150,
  engineFrameNs: 120,
  trackerTurnNs: 300,
  trackerWorkNs: 15,
  registerReadNs: 40,
};
