/** Making test payload: u32 seq | u32 check | f64 timestampNs | w[i] = seq * 0x9E3779B1 + i, little-endian. */
import { CHECK_OFFSET, PAYLOAD_HEAD_BYTES } from './checksum';

const WORD_STEP: u32 = 0x9e3779b1;

/** Writes a whole payload; its check is summed up on the way. `bytes` >= PAYLOAD_HEAD_BYTES. */
export function writeTestPayload(payload: usize, bytes: u32, seq: u32, timestampNs: f64): void {
  store<u32>(payload, seq);
  store<f64>(payload, timestampNs, 8);
  let s1 = seq + load<u32>(payload, 8);
  let s2 = seq + s1;
  s1 += load<u32>(payload, 12);
  s2 += s1;
  let word = seq * WORD_STEP;
  let at = payload + PAYLOAD_HEAD_BYTES;
  const end = payload + (bytes & ~3);
  for (; at < end; at += 4) {
    store<u32>(at, word);
    s1 += word++;
    s2 += s1;
  }
  for (const last = payload + bytes; at < last; at++) store<u8>(at, 0);
  store<u32>(payload, s1 ^ rotl<u32>(s2, 16), CHECK_OFFSET);
}
