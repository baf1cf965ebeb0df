/**
 * The host's hold on a plugin's core: start, ask for whole turns, end. A core that throws, dies or hangs is reported to
 * whoever asks next; ending one never throws.
 *
 *   loading --begin--> starting -> running -> ended          (ended from anywhere by stop)
 *      '------------------'-----------'-----> failed
 */
import { Worker } from 'node:worker_threads';
import { workerFile } from '../hypervisor/worker-file.js';
import type { CoreHandle, CoreRequest } from './core-api.js';
import { CORE_CONTROL, CORE_CONTROL_WORDS } from './core-loop.js';
import type { CoreMessage, CoreReport, CoreWorkerData } from './core-messages.js';
import type { DeviceAccess } from './device-access.js';
import { PluginFailure, PluginTimeout } from './errors.js';

const DEFAULT_SHARED_WORDS = 64;
const MAX_SHARED_WORDS = 1 << 20;

export interface CoreLimits {
  readonly startMs: number;
  readonly turnMs: number;
  readonly stopMs: number;
}

export interface CoreStart {
  readonly plugin: string;
  readonly request: CoreRequest;
  readonly access: DeviceAccess;
  readonly dirty: SharedArrayBuffer;
  readonly dirtyPages: number;
  readonly limits: CoreLimits;
  readonly onNote: (text: string) => void;
}

/** A core that runs: in its own thread here, in the caller's in the conformance kit. */
export interface RunningCore extends CoreHandle {
  /** Ends it, by force if it does not listen. Null: it had to be killed before it could report. */
  stop(): Promise<CoreReport | null>;
}

export type CoreStarter = (start: CoreStart) => Promise<RunningCore>;

/** A core whose thread is being loaded; the core itself is not made before begin(). */
export interface LoadingCore {
  begin(): Promise<RunningCore>;
  stop(): Promise<CoreReport | null>;
}

interface Waiter {
  readonly sequence: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Loads the core in a worker thread. What goes wrong is reported by begin(). */
export const loadCoreThread = (start: CoreStart): LoadingCore => new CoreThread(start);

/** Starts the core in a worker thread. */
export const startCoreThread: CoreStarter = (start) => loadCoreThread(start).begin();

/** Words the plugin's halves share. */
export function sharedWordsOf(request: CoreRequest): Int32Array {
  const words = request.sharedWords ?? DEFAULT_SHARED_WORDS;
  if (!Number.isInteger(words) || words < 1 || words > MAX_SHARED_WORDS) {
    throw new PluginFailure(`a core asks for ${words} shared words: 1 to ${MAX_SHARED_WORDS} can be had`);
  }
  return new Int32Array(new SharedArrayBuffer(words * 4));
}

class CoreThread implements RunningCore, LoadingCore {
  readonly shared: Int32Array;
  readonly #start: CoreStart;
  readonly #control = new Int32Array(new SharedArrayBuffer(CORE_CONTROL_WORDS * 4));
  readonly #worker: Worker;
  readonly #exited: Promise<void>;
  #waiters: Waiter[] = [];
  #failure: Error | null = null;
  #report: CoreReport | null = null;
  #readyWaiter: Waiter | null = null;
  #isReady = false;

  constructor(start: CoreStart) {
    this.#start = start;
    this.shared = sharedWordsOf(start.request);
    const data: CoreWorkerData = {
      module: String(workerFile(start.request.module)),
      data: start.request.data,
      opener: String(workerFile(start.access.opener)),
      handle: start.access.handle,
      control: this.#control.buffer as SharedArrayBuffer,
      shared: this.shared.buffer as SharedArrayBuffer,
      dirty: start.dirty,
      dirtyPages: start.dirtyPages,
    };
    this.#worker = new Worker(workerFile(new URL('./core-worker.js', import.meta.url)), {
      workerData: data,
      name: 'tracker',
    });
    this.#exited = new Promise((resolve) => {
      this.#worker.once('exit', () => {
        this.#fail(new PluginFailure(`plugin ${start.plugin}: its core ended unasked`));
        resolve();
      });
    });
    this.#worker.on('message', (message: CoreMessage) => this.#receive(message));
    this.#worker.on('error', (cause) => {
      this.#fail(new PluginFailure(`plugin ${start.plugin}: its core died: ${cause.message}`, { cause }));
    });
  }

  async begin(): Promise<RunningCore> {
    this.#go();
    try {
      await this.#wait(0, this.#start.limits.startMs, 'the start of its core', (waiter) => {
        this.#readyWaiter = waiter;
        if (this.#isReady) waiter.resolve();
      });
    } catch (error) {
      await this.stop();
      throw error;
    }
    return this;
  }

  turn(): Promise<void> {
    const sequence = (Atomics.add(this.#control, CORE_CONTROL.turnRequest, 1) + 1) | 0;
    const done = this.#wait(sequence, this.#start.limits.turnMs, 'a turn of its core', (waiter) => {
      this.#waiters.push(waiter);
    });
    this.#wake();
    return done;
  }

  async stop(): Promise<CoreReport | null> {
    Atomics.store(this.#control, CORE_CONTROL.stop, 1);
    this.#go();
    this.#wake();
    const timer = setTimeout(() => void this.#worker.terminate(), this.#start.limits.stopMs);
    await this.#exited;
    clearTimeout(timer);
    return this.#report;
  }

  #go(): void {
    Atomics.store(this.#control, CORE_CONTROL.go, 1);
    Atomics.notify(this.#control, CORE_CONTROL.go);
  }

  #wake(): void {
    const { words, index } = this.#start.access.wake;
    Atomics.add(words, index, 1);
    Atomics.notify(words, index);
  }

  #wait(sequence: number, limitMs: number, what: string, enlist: (waiter: Waiter) => void): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        const error = new PluginTimeout(
          `plugin ${this.#start.plugin}: ${what} took longer than ${limitMs} ms`,
        );
        this.#fail(error);
        reject(error);
      }, limitMs);
      enlist({
        sequence,
        resolve: () => {
          clearTimeout(timer);
          resolve();
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      });
    });
  }

  #receive(message: CoreMessage): void {
    switch (message.kind) {
      case 'ready':
        this.#isReady = true;
        this.#readyWaiter?.resolve();
        this.#readyWaiter = null;
        return;
      case 'turn': {
        const due = this.#waiters.filter((waiter) => waiter.sequence - message.sequence <= 0);
        this.#waiters = this.#waiters.filter((waiter) => waiter.sequence - message.sequence > 0);
        for (const waiter of due) waiter.resolve();
        return;
      }
      case 'note':
        this.#start.onNote(message.text);
        return;
      case 'ended':
        this.#report = message.report;
        return;
      case 'failed':
        this.#report = message.report;
        this.#fail(new PluginFailure(`plugin ${this.#start.plugin}: its core threw: ${message.message}`));
        return;
    }
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.reject(this.#failure);
    this.#readyWaiter?.reject(this.#failure);
    this.#readyWaiter = null;
  }
}
