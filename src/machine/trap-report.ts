/**
 * Whatever ended a guest's run -> a report that a person can act on.
 */
import type { TrapReport } from './vcpu-events.js';

const MAX_FRAMES = 16;

export function trapReportOf(error: unknown): TrapReport {
  if (error instanceof WebAssembly.RuntimeError) {
    return { message: `the guest trapped: ${error.message}`, stack: framesOf(error) };
  }
  if (error instanceof RangeError && /call stack/i.test(error.message)) {
    return { message: 'the guest trapped: its call stack overflowed', stack: framesOf(error) };
  }
  const text = error instanceof Error ? error.message : String(error);
  return { message: `the vCPU failed: ${text}`, stack: error instanceof Error ? framesOf(error) : [] };
}

/** Innermost first; wasm frames as the engine names them, without the module's hash. */
function framesOf(error: Error): string[] {
  const lines = (error.stack ?? '').split('\n').slice(1);
  return lines.slice(0, MAX_FRAMES).map((line) =>
    line
      .trim()
      .replace(/^at /, '')
      .replace(/wasm:\/\/wasm\/[0-9a-f]+/, 'guest'),
  );
}
