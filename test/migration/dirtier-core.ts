/** A guest of one thread: writes words all over its memory and marks each page after the store, as the logging build does. */
import { workerData } from 'node:worker_threads';

interface DirtierData {
  readonly memory: WebAssembly.Memory;
  readonly log: SharedArrayBuffer;
  /** Word 0: 1 run, 0 pause, 2 end. Word 1: 1 while standing still. */
  readonly control: SharedArrayBuffer;
  readonly pages: number;
}

const { memory, log, control, pages } = workerData as DirtierData;
const words = new Int32Array(memory.buffer);
const marks = new Uint8Array(log);
const state = new Int32Array(control);

let value = 1;
for (;;) {
  if (Atomics.load(state, 0) === 2) break;
  if (Atomics.load(state, 0) === 0) {
    Atomics.store(state, 1, 1);
    Atomics.notify(state, 1);
    Atomics.wait(state, 0, 0);
    Atomics.store(state, 1, 0);
    continue;
  }
  for (let i = 0; i < 64; i++) {
    value = (Math.imul(value, 1664525) + 1013904223) | 0;
    const page = (value >>> 8) % pages;
    words[page * 1024 + (value & 1023)] = value;
    marks[page] = 1;
  }
  Atomics.wait(state, 2, 0, 1); // a rate that can be followed
}
