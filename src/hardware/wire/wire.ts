/**
 * One end of a cable. The NIC, a switch port or a load generator holds one and steps it; nothing here is called from
 * a foreign thread. Three methods move frames (receive, transmit, flush); the rest is plumbing.
 */

/**
 * Takes one frame (`bytes[offset .. offset+length)`, no CRC) or refuses it. The view is only valid during the call.
 * Returning false means "not now": the wire keeps the frame and offers it again at the next receive().
 */
export type FrameSink = (bytes: Uint8Array, offset: number, length: number) => boolean;

export interface Wire {
  /** Offers at most `budget` arrived frames to the sink, in order; stops at the first refusal. Returns how many were taken. */
  receive(sink: FrameSink, budget: number): number;
  /** Copies one frame into the wire's own buffer. False: no room or no peer, the frame is lost (counted in stats). */
  transmit(bytes: Uint8Array, offset: number, length: number): boolean;
  /** Pushes what transmit() gathered to the peer. Called once a step. */
  flush(): void;
  /** Whether the other end is there. */
  readonly linkUp: boolean;
  /**
   * The peer takes no more just now, as after a PAUSE frame (802.3x): what is transmitted meanwhile may be lost. When that is
   * over, onWake is called. A wire without it never says so.
   */
  readonly paused?: boolean;
  /** Called (from the event loop of this thread) when a frame arrived or the link changed while the holder may be asleep. */
  onWake: (() => void) | null;
  readonly stats: WireStats;
  close(): Promise<void>;
}

export interface WireStats {
  rxFrames: number;
  rxBytes: number;
  txFrames: number;
  txBytes: number;
  /** Frames that transmit() refused or the transport threw away. */
  txDropped: number;
  /** Arrivals thrown away: oversized, malformed framing, or the bounded queue was full. */
  rxDropped: number;
}

/** Largest frame a wire carries, without CRC: the 82599's 9728-byte limit less CRC, with room for one VLAN tag. */
export const MAX_FRAME_BYTES = 9728;
