/**
 * What every worker that serves the main thread (a card's engine, a driver domain, a core of a self-virtualizing device) and
 * the main thread say to each other. Rare: nothing on a packet's path is a message.
 */

/** Commands that every such worker takes, besides its own. */
export type WorkerCommand<Own> =
  | Own
  | { readonly kind: 'stat'; readonly id: number }
  | { readonly kind: 'stop' };

export type WorkerAnswer<Stats> =
  | { readonly kind: 'done'; readonly id: number }
  | { readonly kind: 'stat'; readonly id: number; readonly stats: Stats };

export type WorkerReply<Stats> =
  | WorkerAnswer<Stats>
  | { readonly kind: 'ready' }
  | { readonly kind: 'failed'; readonly message: string };

/** The worker's last word when it cannot go on. */
export const failedReply = (error: unknown): { readonly kind: 'failed'; readonly message: string } => ({
  kind: 'failed',
  message: error instanceof Error ? error.message : String(error),
});
