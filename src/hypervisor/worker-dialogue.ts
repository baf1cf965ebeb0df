/**
 * The main thread's end of what it and a worker that serves it say to each other.
 *
 *   worker:  ready ... done, stat (the answers) ... exit          ask -> answer, in any order; once the worker has failed,
 *              '---- failed, died, ended ---> failure             what was asked is rejected, and whatever is asked then
 */
import type { WorkerAnswer, WorkerCommand, WorkerReply } from './worker-messages.js';

/** How a worker came to answer no more: it said so itself, threw, or is gone. */
export type WorkerEnd =
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'died'; readonly cause: Error }
  | { readonly kind: 'ended' };

export interface WorkerDialogueOptions<Own, Failure extends Error> {
  post(command: WorkerCommand<Own>): void;
  errorOf(end: WorkerEnd): Failure;
  /** The first failure, and only that: `ended` as well when the worker was told to stop. */
  onFailure?(error: Failure, end: WorkerEnd): void;
}

interface Pending<Stats> {
  readonly resolve: (answer: WorkerAnswer<Stats>) => void;
  readonly reject: (error: Error) => void;
}

/** Whoever holds the worker passes on what comes from it: onReply, onError, onExit. */
export class WorkerDialogue<Own, Stats, Failure extends Error> {
  /** Rejected when the worker fails first. */
  readonly ready: Promise<void>;
  readonly exited: Promise<void>;
  readonly #options: WorkerDialogueOptions<Own, Failure>;
  readonly #pending = new Map<number, Pending<Stats>>();
  #started: () => void = () => {};
  #notStarted: (error: Failure) => void = () => {};
  #gone: () => void = () => {};
  #lastId = 0;
  #failure: Failure | null = null;

  constructor(options: WorkerDialogueOptions<Own, Failure>) {
    this.#options = options;
    this.ready = new Promise((resolve, reject) => {
      this.#started = resolve;
      this.#notStarted = reject;
    });
    // whoever waits is told; nobody may be waiting
    this.ready.catch(() => {});
    this.exited = new Promise((resolve) => {
      this.#gone = resolve;
    });
  }

  get hasFailed(): boolean {
    return this.#failure !== null;
  }

  ask(command: (id: number) => WorkerCommand<Own>): Promise<WorkerAnswer<Stats>> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#options.post(command(id));
    });
  }

  async stats(): Promise<Stats> {
    const answer = await this.ask((id) => ({ kind: 'stat', id }));
    if (answer.kind !== 'stat') {
      throw this.#options.errorOf({ kind: 'failed', message: `'${answer.kind}' in answer to 'stat'` });
    }
    return answer.stats;
  }

  /** Resolves when the worker is gone. */
  stop(): Promise<void> {
    if (this.#failure === null) this.#options.post({ kind: 'stop' });
    return this.exited;
  }

  onReply(reply: WorkerReply<Stats>): void {
    switch (reply.kind) {
      case 'ready':
        this.#started();
        return;
      case 'failed':
        this.#fail(reply);
        return;
      default:
        this.#pending.get(reply.id)?.resolve(reply);
        this.#pending.delete(reply.id);
    }
  }

  onError(cause: Error): void {
    this.#fail({ kind: 'died', cause });
  }

  onExit(): void {
    this.#fail({ kind: 'ended' });
    this.#gone();
  }

  #fail(end: WorkerEnd): void {
    if (this.#failure !== null) return;
    const error = this.#options.errorOf(end);
    this.#failure = error;
    this.#notStarted(error);
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
    this.#options.onFailure?.(error, end);
  }
}
