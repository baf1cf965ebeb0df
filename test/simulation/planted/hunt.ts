/** Looks for a planted fault in a process of its own, seed by seed. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface HuntOrder {
  /** Name of the planted fault. */
  readonly fault: string;
  readonly firstSeed: number;
  readonly seeds: number;
}

export type HuntEnd =
  /** The promises that the seed broke. */
  | { readonly kind: 'found'; readonly seed: number; readonly sentences: readonly string[] }
  | { readonly kind: 'not-found' }
  | { readonly kind: 'failed'; readonly message: string | undefined };

export function hunt(order: HuntOrder): Promise<HuntEnd> {
  return new Promise((resolve) => {
    const core = fork(fileURLToPath(new URL('./hunt-core.js', import.meta.url)), { execArgv: [] });
    core.once('message', (end: HuntEnd) => resolve(end));
    core.once('error', (error) => resolve({ kind: 'failed', message: error.message }));
    core.once('exit', (code) => resolve({ kind: 'failed', message: `its process ended with code ${code}` }));
    core.send(order);
  });
}
