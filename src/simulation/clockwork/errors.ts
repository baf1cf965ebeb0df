/** What the scheduler says when a run cannot go on. */

/** Thrown out of a wait inside a core's step when the run is over: nothing more will happen in it. */
export class RunIsOver extends Error {
  constructor(why: string) {
    super(
      `the simulated run is over (${why}): a core that waits inside its step will see no change any more`,
    );
    this.name = 'RunIsOver';
  }
}

/** The scheduler is asked for what it cannot do. */
export class SchedulerMisuse extends Error {
  constructor(what: string) {
    super(`scheduler: ${what}`);
    this.name = 'SchedulerMisuse';
  }
}
