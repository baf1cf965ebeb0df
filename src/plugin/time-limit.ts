/** Calls into a plugin: whatever it does, the caller gets an answer or a named error in bounded time. */
import type { TimerClock } from '../hardware/clock.js';
import { PluginFailure, PluginTimeout } from './errors.js';

export async function callPlugin<T>(
  plugin: string,
  what: string,
  limitMs: number,
  timers: TimerClock,
  call: () => T | Promise<T>,
): Promise<T> {
  let cancel: () => void = () => {};
  const limit = new Promise<never>((_resolve, reject) => {
    cancel = timers.after(limitMs, () => {
      reject(new PluginTimeout(`plugin ${plugin}: ${what} did not come back within ${limitMs} ms`));
    });
  });
  try {
    return await Promise.race([(async () => call())(), limit]);
  } catch (cause) {
    if (cause instanceof PluginTimeout) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new PluginFailure(`plugin ${plugin}: ${what} failed: ${why}`, { cause });
  } finally {
    cancel();
  }
}
