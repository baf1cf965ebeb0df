/** Looks for a planted fault in a process of its own, seed by seed. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface HuntOrder {
  /** Name of the planted fault. */
  readonly fault: string;
  readonly firstSeed: number;
  readonly seeds: number;
  /** One of these seeds, to begin with, or null. */
  readonly tryFirst: number | null;
}

/** The seeds of an order, in the order of the hunt. */
export function* seedsOf({ firstSeed, seeds, tryFirst }: HuntOrder): Generator<number> {
  if (tryFirst !== null) yield tryFirst;
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++) if (seed !== tryFirst) yield seed;
}

export type HuntEnd =
  /** What the seed broke. */
  | { readonly kind: 'found'; readonly seed: number; readonly sentence: string }
  /** What seeds broke that the fault is not to break. */
  | { readonly kind: 'not-found'; readonly others: readonly string[] }
  | { readonly kind: 'failed'; readonly message: string };

export function hunt(order: HuntOrder): Promise<HuntEnd> {
  return new Promise((resolve) => {
    const core = fork(fileURLToPath(new URL('./hunt-core.js', import.meta.url)), { execArgv: [] });
    core.once('message', (end: HuntEnd) => resolve(end));
    core.once('error', (error) => resolve({ kind: 'failed', message: error.message }));
    // not on 'exit': that one can be heard before a message that was sent first, when this thread was busy meanwhile
    core.once('close', (code) => resolve({ kind: 'failed', message: `its process ended with code ${code}` }));
    core.send(order);
  });
}
