/**
 * The frame: the only thing that crosses the link. All numbers little-endian.
 *
 *   0      4      8        9      10     12       16         20          28       32            32+bulk
 *   | magic | crc | version | type | zero | length | sequence | bulk hash | bulk   | bulk (pages) | rest of the payload |
 *                 '------------------------- crc32 over this --------------------'              '------ and this ------'
 *
 * Page data comes first in its payload and has a hash of its own, 64 bits wide, which is computed several times faster
 * than a CRC; the hash is in the header, and the CRC covers the header. Sequence numbers count a direction's frames from
 * 0, so that a frame lost, repeated or moved is seen. Nothing is ever allocated from a length: each is checked against the
 * limit of its type, and all limits fit the decoder's one buffer.
 */

export const FRAME_MAGIC = 0x4d565253; // 'SRVM'
/** Both ends must speak the same one. */
export const PROTOCOL_VERSION = 2;
export const FRAME_HEADER_BYTES = 32;
/** Where what the checksum covers begins. */
export const CRC_START_BYTES = 8;

export const FRAME = {
  hello: 1,
  accept: 2,
  refuse: 3,
  pages: 4,
  round: 5,
  roundDone: 6,
  vmState: 7,
  deviceState: 8,
  hashes: 9,
  end: 10,
  ready: 11,
  commit: 12,
  running: 13,
  abort: 14,
  /** The destination's VM is built: a switch from now on waits for nothing but state. */
  prepared: 15,
} as const;

/** Page data in front of a payload, with its hash. */
export interface Bulk {
  readonly bytes: number;
  readonly hashLow: number;
  readonly hashHigh: number;
}

export type FrameType = (typeof FRAME)[keyof typeof FRAME];

export function frameName(type: number): string {
  return Object.entries(FRAME).find(([, value]) => value === type)?.[0] ?? `type ${type}`;
}

/** Every bound of the stream in one place. */
export interface StreamLimits {
  /** A CBOR record: hello, accept, refuse, round, end, ready, ... */
  readonly maxRecordBytes: number;
  /** A batch of pages: data and run table. */
  readonly maxPagesBytes: number;
  readonly maxRunsPerBatch: number;
  /** One piece of a VM's or a device's state, and the whole of it. */
  readonly maxStatePieceBytes: number;
  readonly maxStateBytes: number;
  /** A batch of page hashes. */
  readonly maxHashesBytes: number;
}

export const DEFAULT_LIMITS: StreamLimits = {
  maxRecordBytes: 64 * 1024,
  maxPagesBytes: 1024 * 1024 + 64 * 1024,
  maxRunsPerBatch: 4096,
  maxStatePieceBytes: 256 * 1024,
  maxStateBytes: 8 * 1024 * 1024,
  maxHashesBytes: 256 * 1024,
};

/** Longest payload that a frame of this type may have; -1 for an unknown type. */
export function maxPayloadBytes(type: number, limits: StreamLimits): number {
  switch (type) {
    case FRAME.pages:
      return limits.maxPagesBytes;
    case FRAME.vmState:
    case FRAME.deviceState:
      return limits.maxStatePieceBytes + STATE_PIECE_HEADER_BYTES;
    case FRAME.hashes:
      return limits.maxHashesBytes;
    default:
      return type >= FRAME.hello && type <= FRAME.prepared ? limits.maxRecordBytes : -1;
  }
}

/** Before each piece of state: total bytes, offset of this piece. */
export const STATE_PIECE_HEADER_BYTES = 8;

/** The longest frame under these limits, header included. */
export const maxFrameBytes = (limits: StreamLimits): number =>
  FRAME_HEADER_BYTES +
  Math.max(
    limits.maxRecordBytes,
    limits.maxPagesBytes,
    limits.maxStatePieceBytes + STATE_PIECE_HEADER_BYTES,
    limits.maxHashesBytes,
  );
