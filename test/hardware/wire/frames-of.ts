/** Small helpers of the wire tests: frames to send, frames that came. */
import type { FrameSink, Wire } from '../../../src/hardware/wire/wire.js';

/** A frame of one repeated byte, after both MAC addresses. */
export function frameOf(to: number, from: number, length = 60, fill = 0): Uint8Array {
  const frame = new Uint8Array(length).fill(fill);
  frame.set([0x52, 0x54, 0, 0, 0, to], 0);
  frame.set([0x52, 0x54, 0, 0, 0, from], 6);
  return frame;
}

export function collect(into: Uint8Array[]): FrameSink {
  return (bytes, offset, length) => {
    into.push(bytes.slice(offset, offset + length));
    return true;
  };
}

/** Everything that has arrived by now. */
export function drain(wire: Wire, budget = Number.POSITIVE_INFINITY): Uint8Array[] {
  const frames: Uint8Array[] = [];
  wire.receive(collect(frames), budget);
  return frames;
}

export function send(wire: Wire, frame: Uint8Array): boolean {
  const taken = wire.transmit(frame, 0, frame.length);
  wire.flush();
  return taken;
}

/** A limit on patience, not on speed: another thread may be long in starting. */
const PATIENCE_MS = 30_000;

/** Polls the event loop until the condition holds; fails loudly after a while instead of hanging. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const endMs = performance.now() + PATIENCE_MS;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`waited in vain for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
