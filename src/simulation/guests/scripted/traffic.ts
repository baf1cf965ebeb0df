/** Frames as the guest takes them: each must be what its number says. */
import { checkFrame, STREAM } from '../frame-format.js';
import { complain } from './complaints.js';
import { count } from './counters.js';
import { SEEN_AT, SEEN_BITS } from './places.js';
import type { GuestState } from './state.js';

const MAC_BYTES = 6;
/** Streams of different peers in one table of bits. */
const STREAM_STRIDE = 7919;

export class Traffic {
  readonly #state: GuestState;

  constructor(state: GuestState) {
    this.#state = state;
  }

  take(frame: Uint8Array, bytes: number, slot: number, buffer: number): void {
    const state = this.#state;
    const verdict = checkFrame(frame, bytes);
    switch (verdict.kind) {
      case 'foreign':
        count(state, 'framesForeign');
        // no frame on any wire begins with zeros: a buffer that was never written
        if (isBlank(frame)) complain(state, 'frame-damaged', 0, 0, slot, buffer);
        return;
      case 'damaged':
        count(state, 'framesTaken');
        complain(state, 'frame-damaged', verdict.number, verdict.at, slot, buffer);
        return;
      case 'whole':
        count(state, 'framesTaken');
        if (verdict.stream >= STREAM.guest) return;
        this.#noteNumber(verdict.stream * STREAM_STRIDE + verdict.number);
        this.#learnPeer(frame);
    }
  }

  #noteNumber(number: number): void {
    const { ram } = this.#state;
    const bit = (number >>> 0) % SEEN_BITS;
    const at = SEEN_AT + (bit >>> 3);
    const byte = ram.loadByte(at);
    const mask = 1 << (bit & 7);
    // a network may duplicate a frame, and numbers come round: counted, no more
    if ((byte & mask) !== 0) count(this.#state, 'framesTwice');
    ram.storeByte(at, byte ^ mask);
  }

  #learnPeer(frame: Uint8Array): void {
    const state = this.#state;
    const source = frame.subarray(MAC_BYTES, 2 * MAC_BYTES);
    const low = source[0]! | (source[1]! << 8) | (source[2]! << 16) | (source[3]! << 24);
    const high = source[4]! | (source[5]! << 8);
    if (state.get('peerLow') !== low) state.set('peerLow', low);
    if (state.get('peerHigh') !== high) state.set('peerHigh', high);
  }
}

function isBlank(frame: Uint8Array): boolean {
  for (let i = 0; i < 2 * MAC_BYTES; i++) if (frame[i] !== 0) return false;
  return true;
}
