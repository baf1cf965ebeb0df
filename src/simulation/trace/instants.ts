/**
 * The instants of a trace, one for all that has one name at one moment of one thread: a viewer draws instants of the same
 * moment below one another, and one read can push a hundred pieces of DMA before it. What each had to say stays, in a list.
 *
 *   chunk {page: 5, bytes: 64} + chunk {page: 7, bytes: 128}, same time  ->  chunk {page: '5, 7', bytes: '64, 128', times: 2}
 */

export type TraceArguments = Readonly<Record<string, number | string>>;

interface Moment {
  readonly timeNs: number;
  /** By name. */
  readonly instants: Map<string, Record<string, number | string>>;
}

export class Instants {
  /** The last moment of each actor. */
  readonly #moments = new Map<string, Moment>();

  /** @returns the arguments of a new instant, or null: an earlier one has taken these in. */
  add(
    actor: string,
    timeNs: number,
    name: string,
    args: Readonly<Record<string, number>>,
  ): TraceArguments | null {
    let moment = this.#moments.get(actor);
    if (moment?.timeNs !== timeNs) {
      moment = { timeNs, instants: new Map() };
      this.#moments.set(actor, moment);
    }
    const known = moment.instants.get(name);
    if (known === undefined) {
      const own = { ...args };
      moment.instants.set(name, own);
      return own;
    }
    for (const [key, number] of Object.entries(args)) known[key] = `${known[key] ?? 0}, ${number}`;
    known['times'] = Number(known['times'] ?? 1) + 1;
    return null;
  }
}
