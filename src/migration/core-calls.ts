/**
 * Calls from the main thread to an object that lives in a worker, and their answers. A few per round: pages and bytes
 * never come this way.
 *
 *   main: call(method, args) -> { id, method, args } -> worker: target[method](...args) -> { id, value } or { id, error }
 */
import type { MessagePort, Worker } from 'node:worker_threads';
import { threadCpuNs, threadPath } from '../hypervisor/thread-cpu.js';
import { ChannelError, fromPlainError, type PlainError, toPlainError } from './errors.js';

interface CoreRequest {
  readonly id: number;
  readonly method: string;
  readonly args: readonly unknown[];
}

type CoreReply =
  | { readonly kind: 'up'; readonly threadPath: string | null }
  | { readonly kind: 'value'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'error'; readonly id: number; readonly error: PlainError };

/** A worker that does not answer its close by then is ended as it is. */
const CLOSE_LIMIT_MS = 2000;

export class CoreCalls {
  readonly #worker: Worker;
  readonly #pending = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  readonly #exited: Promise<void>;
  #nextId = 0;
  #threadPath: string | null = null;
  #ended: Error | null = null;
  #closing: Promise<void> | null = null;
  #cpuNs: number | null = null;

  constructor(worker: Worker, what: string) {
    this.#worker = worker;
    worker.on('message', (reply: CoreReply) => this.#onReply(reply));
    worker.on('error', (error) => this.#end(new ChannelError(`the ${what} failed: ${error.message}`)));
    this.#exited = new Promise((resolve) => {
      worker.once('exit', () => {
        this.#end(new ChannelError(`the ${what} has ended`));
        resolve();
      });
    });
  }

  /** Nanoseconds that the worker's thread has run, as far as was seen. */
  get cpuNs(): number | null {
    return this.#ended ? this.#cpuNs : (threadCpuNs(this.#threadPath) ?? this.#cpuNs);
  }

  call(method: string, ...args: readonly unknown[]): Promise<unknown> {
    if (this.#ended) return Promise.reject(this.#ended);
    const id = this.#nextId++;
    const request: CoreRequest = { id, method, args };
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#worker.postMessage(request);
    });
  }

  /** Calls the target's close(), then ends the worker. Resolves when its thread is gone. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_LIMIT_MS);
    });
    await Promise.race([this.call('close').catch(() => {}), limit]);
    clearTimeout(timer);
    this.#cpuNs = threadCpuNs(this.#threadPath);
    await this.#worker.terminate();
    await this.#exited;
  }

  #onReply(reply: CoreReply): void {
    if (reply.kind === 'up') {
      this.#threadPath = reply.threadPath;
      return;
    }
    const asked = this.#pending.get(reply.id);
    this.#pending.delete(reply.id);
    if (reply.kind === 'value') asked?.resolve(reply.value);
    else asked?.reject(fromPlainError(reply.error));
  }

  #end(error: Error): void {
    this.#ended ??= error;
    for (const { reject } of this.#pending.values()) reject(this.#ended);
    this.#pending.clear();
  }
}

/** The worker's side: answers calls to the methods named. */
export function serveCalls<T extends object>(
  port: MessagePort,
  target: T,
  methods: readonly (keyof T & string)[],
): void {
  const reply = (message: CoreReply): void => port.postMessage(message);
  port.on('message', ({ id, method, args }: CoreRequest) => {
    if (!methods.includes(method as keyof T & string)) {
      reply({ kind: 'error', id, error: toPlainError(new Error(`no call ${method}`)) });
      return;
    }
    const action = target[method as keyof T] as (...all: readonly unknown[]) => unknown;
    Promise.resolve()
      .then(() => action.apply(target, [...args]))
      .then(
        (value) => reply({ kind: 'value', id, value }),
        (error) => reply({ kind: 'error', id, error: toPlainError(error) }),
      );
  });
  reply({ kind: 'up', threadPath: threadPath() });
}
