/**
 * Whose code runs at a guest's write to a trapped page, in the vCPU's thread. The main thread installs it while the guest
 * runs; a vCPU's thread is deep in the guest and takes no messages, so it looks for one itself, at a trapped write.
 *
 *   main:  post the order -> exitOrders + 1 -> map the pages `trapped`
 *   vCPU:  trapped write -> exitOrders changed? take what was posted, load its module -> handler.write()
 *
 * A page is trapped only after its order was counted: no write of a page that is trapped for a handler goes past it.
 */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { BAR_WORD } from './bar-map.js';
import type { PassthroughHandle } from './passthrough-core.js';

/** What a vCPU's thread is told. Structured-cloneable. */
export interface ExitOrder {
  /** URL of the module that exports openExits(start, device). */
  readonly entry: string;
  readonly start: unknown;
  readonly handle: PassthroughHandle;
  /** Pages of BAR0 whose writes are wanted. */
  readonly pages: readonly number[];
}

export interface GuestExitHandler {
  /** `carryOut` gives the write to the device. Never throws, and carries every write out. */
  write(offset: number, value: number, carryOut: () => void): void;
}

/** Makes an order's handler with what this thread has. */
export type OpenExits = (order: ExitOrder) => GuestExitHandler;

const require = createRequire(import.meta.url);

/** Loads a module in the middle of an access: nothing can be awaited there. */
export const loadAtOnce = (url: string): unknown => require(fileURLToPath(url));

/** The main thread's end. */
export class ExitPort {
  readonly #port: MessagePort;
  readonly #words: Int32Array;

  constructor(port: MessagePort, barMap: SharedArrayBuffer) {
    this.#port = port;
    this.#words = new Int32Array(barMap);
  }

  /** Before the pages are trapped. Null: no handler any more, after they are not. */
  install(order: ExitOrder | null): void {
    this.#port.postMessage(order);
    Atomics.add(this.#words, BAR_WORD.exitOrders, 1);
  }

  close(): void {
    this.#port.close();
  }
}

/** The vCPU's end. */
export class ExitHook {
  readonly #port: MessagePort;
  readonly #words: Int32Array;
  readonly #open: OpenExits;
  #ordersTaken = 0;
  #handler: GuestExitHandler | null = null;
  #pages = 0;

  constructor(port: MessagePort, barMap: SharedArrayBuffer, open: OpenExits) {
    this.#port = port;
    this.#words = new Int32Array(barMap);
    this.#open = open;
  }

  /** Who is to be told of a write to this trapped page, if anyone. */
  handlerOf(page: number): GuestExitHandler | null {
    const orders = Atomics.load(this.#words, BAR_WORD.exitOrders);
    if (orders !== this.#ordersTaken) this.#take(orders);
    return (this.#pages & (1 << page)) === 0 ? null : this.#handler;
  }

  #take(orders: number): void {
    this.#ordersTaken = orders;
    let latest: ExitOrder | null | undefined;
    for (let next = receiveMessageOnPort(this.#port); next !== undefined; ) {
      latest = next.message as ExitOrder | null;
      next = receiveMessageOnPort(this.#port);
    }
    // counted only now, and taken with the one before it: what it says holds already
    if (latest === undefined) return;
    this.#handler = latest === null ? null : this.#open(latest);
    this.#pages = latest === null ? 0 : latest.pages.reduce((mask, page) => mask | (1 << page), 0);
  }
}
