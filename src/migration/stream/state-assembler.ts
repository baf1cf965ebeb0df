/**
 * Puts a state that came in pieces together again. Pieces come in order; the announced total is a promise that is checked
 * against a limit and kept to, never a size to allocate.
 */
import { StreamFormatError } from '../errors.js';
import { STATE_PIECE_HEADER_BYTES } from './frame.js';

export class StateAssembler {
  readonly #what: string;
  readonly #maxBytes: number;
  readonly #pieces: Uint8Array[] = [];
  #totalBytes = -1;
  #haveBytes = 0;
  #complete = false;

  constructor(what: string, maxBytes: number) {
    this.#what = what;
    this.#maxBytes = maxBytes;
  }

  /** Takes a piece; returns the whole state when it was the last, else null. */
  add(payload: Buffer): Uint8Array | null {
    if (this.#complete) throw this.#bad('more pieces than announced');
    if (payload.length < STATE_PIECE_HEADER_BYTES) throw this.#bad('a piece without its header');
    const totalBytes = payload.readUInt32LE(0);
    const piece = payload.subarray(STATE_PIECE_HEADER_BYTES);
    if (totalBytes > this.#maxBytes) throw this.#bad(`${totalBytes} bytes; the limit is ${this.#maxBytes}`);
    if (this.#totalBytes >= 0 && totalBytes !== this.#totalBytes)
      throw this.#bad('its announced length changes');
    if (payload.readUInt32LE(4) !== this.#haveBytes) throw this.#bad('pieces are out of order');
    if (piece.length === 0 && totalBytes > 0) throw this.#bad('an empty piece');
    if (this.#haveBytes + piece.length > totalBytes) throw this.#bad('longer than announced');
    this.#totalBytes = totalBytes;
    this.#haveBytes += piece.length;
    this.#pieces.push(Uint8Array.from(piece));
    if (this.#haveBytes < totalBytes) return null;
    this.#complete = true;
    return Buffer.concat(this.#pieces);
  }

  #bad(what: string): StreamFormatError {
    return new StreamFormatError(`migration stream: ${this.#what}: ${what}`);
  }
}
