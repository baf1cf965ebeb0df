/**
 * A VM's memory: one shared WebAssembly memory laid out by layoutFor, and what a first boot finds in it.
 */
import type { LoadedImage } from '../guest/loaded-image.js';
import {
  CONTROL_WORDS,
  CTRL,
  layoutFor,
  MAX_COMMAND_LINE_BYTES,
  type MemoryLayout,
  VCPU_COMMAND,
  WASM_PAGE_BYTES,
} from './layout.js';

/** All zero, of fixed size: RAM takes host memory only where it is touched. */
export function createMemory(layout: MemoryLayout): WebAssembly.Memory {
  const pages = layout.totalBytes / WASM_PAGE_BYTES;
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
}

/** The words of the control page. */
export function controlWords(memory: WebAssembly.Memory, layout: MemoryLayout): Int32Array {
  return new Int32Array(memory.buffer, layout.controlOffset, CONTROL_WORDS);
}

/**
 * Puts a memory into the state of a first boot: data segments, memory size, command line. A destination does not call
 * this: its pages and its vCPU state arrive from the source.
 */
export function writeBootState(
  memory: WebAssembly.Memory,
  image: LoadedImage,
  commandLine: string,
  hostNowNs: number,
): void {
  const layout = layoutFor(image.ramBytes);
  const bytes = new Uint8Array(memory.buffer);
  for (const { offset, bytes: content } of image.dataSegments) bytes.set(content, offset);
  const control = controlWords(memory, layout);
  control[CTRL.guestPages] = image.initialPages;
  new Float64Array(memory.buffer, layout.controlOffset + CTRL.clockOffset * 4, 1)[0] = -hostNowNs;
  writeCommandLine(memory, layout, new TextEncoder().encode(commandLine));
}

export function writeCommandLine(memory: WebAssembly.Memory, layout: MemoryLayout, line: Uint8Array): void {
  if (line.length > MAX_COMMAND_LINE_BYTES) {
    throw new RangeError(`the command line has ${line.length} bytes; at most ${MAX_COMMAND_LINE_BYTES} fit`);
  }
  new Uint8Array(memory.buffer, layout.controlOffset + CTRL.commandLine * 4, line.length).set(line);
  controlWords(memory, layout)[CTRL.commandLineBytes] = line.length;
}

export function readCommandLine(memory: WebAssembly.Memory, layout: MemoryLayout): Uint8Array {
  // the guest can write the control page: a length that cannot be is cut
  const length = controlWords(memory, layout)[CTRL.commandLineBytes];
  const bounded = Math.min(Math.max(length, 0), MAX_COMMAND_LINE_BYTES);
  return new Uint8Array(memory.buffer, layout.controlOffset + CTRL.commandLine * 4, bounded).slice();
}

/** A new VM's vCPU waits for the first resume. */
export function holdVcpu(memory: WebAssembly.Memory, layout: MemoryLayout): void {
  controlWords(memory, layout)[CTRL.command] = VCPU_COMMAND.pause;
}
