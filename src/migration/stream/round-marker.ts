/**
 * The end of a round: u32 round, u32 pages in it. The destination answers with the same bytes when all of them are in
 * memory there.
 */
import { StreamFormatError } from '../errors.js';

export interface RoundMarker {
  readonly round: number;
  /** Data and zero pages. */
  readonly pages: number;
}

const MARKER_BYTES = 8;

export function encodeRoundMarker({ round, pages }: RoundMarker): Buffer {
  const bytes = Buffer.alloc(MARKER_BYTES);
  bytes.writeUInt32LE(round, 0);
  bytes.writeUInt32LE(pages, 4);
  return bytes;
}

export function decodeRoundMarker(payload: Uint8Array): RoundMarker {
  if (payload.length !== MARKER_BYTES) {
    throw new StreamFormatError(
      `migration stream: a round marker of ${payload.length} bytes; it has ${MARKER_BYTES}`,
    );
  }
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  return { round: view.getUint32(0, true), pages: view.getUint32(4, true) };
}
