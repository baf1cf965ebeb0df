/** Orders for a vCPU's thread that come while it looks: the handler of the latest is told, whichever look found it. */
import { MessageChannel } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { BAR_WORD, createBarMapBuffer } from '../../src/hypervisor/bar-map.js';
import { ExitHook, type ExitOrder, ExitPort } from '../../src/hypervisor/exit-hook.js';
import { closeHandle } from '../../src/hypervisor/passthrough-core.js';

const PAGE = 1;
const handle = closeHandle({} as Parameters<typeof closeHandle>[0]);
const orderOf = (entry: string): ExitOrder => ({ entry, start: null, handle, pages: [PAGE] });

function hookAndPort() {
  const barMap = createBarMapBuffer();
  const { port1, port2 } = new MessageChannel();
  const handlers = new Map<object, string>();
  const hook = new ExitHook(port2, barMap, ({ entry }) => {
    const handler = { write: () => {} };
    handlers.set(handler, entry);
    return handler;
  });
  const nameOf = (): string | null => {
    const handler = hook.handlerOf(PAGE);
    return handler === null ? null : handlers.get(handler)!;
  };
  return { port: new ExitPort(port1, barMap), raw: port1, words: new Int32Array(barMap), nameOf };
}

it('tells the latest handler, and none when it was taken away', () => {
  const { port, nameOf } = hookAndPort();
  expect(nameOf()).toBeNull();
  port.install(orderOf('first'));
  expect(nameOf()).toBe('first');
  port.install(null);
  port.install(orderOf('second'));
  expect(nameOf()).toBe('second');
  port.install(null);
  expect(nameOf()).toBeNull();
  port.close();
});

it('keeps a handler that was posted before a look and counted after it', () => {
  const { port, raw, words, nameOf } = hookAndPort();
  port.install(null);
  // install(), seen between its two lines
  raw.postMessage(orderOf('early'));
  expect(nameOf()).toBe('early');
  Atomics.add(words, BAR_WORD.exitOrders, 1);
  expect(nameOf()).toBe('early');
  port.close();
});
