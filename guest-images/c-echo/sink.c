//   payload | u32 seq | u32 check | f64 timestamp | words ...     little-endian
//
//   check = s1 ^ rotl(s2, 16): s1 the sum of all whole words but `check`, s2 the running sum of s1
#include "sink.h"

#include "bytes.h"

enum { CHECK_OFFSET = 4, HEAD_BYTES = 16, FLOWS = 64 };

// Where a flow is; one that shares its place with another starts anew whenever they alternate.
struct flow {
  uint32_t id;
  uint32_t next_seq;
};

struct sink_counts sink_counts;
static struct flow flows[FLOWS];

static uint32_t check_of(const uint8_t *payload, uint32_t bytes) {
  uint32_t s1 = load32(payload);
  uint32_t s2 = s1;
  for (uint32_t at = CHECK_OFFSET + 4; at + 4 <= bytes; at += 4) {
    s1 += load32(payload + at);
    s2 += s1;
  }
  return s1 ^ (s2 << 16 | s2 >> 16);
}

static void follow(uint32_t id, uint32_t seq) {
  struct flow *flow = &flows[(id ^ id >> 8) % FLOWS];
  if (flow->id != id) {
    flow->id = id;
    flow->next_seq = seq;
  }
  int32_t ahead = (int32_t)(seq - flow->next_seq);
  if (ahead >= 0) {
    sink_counts.lost += (uint32_t)ahead;
    flow->next_seq = seq + 1;
  } else if (ahead == -1) {
    sink_counts.duplicates++;
  } else {
    // it was counted as lost when a later one overtook it
    sink_counts.out_of_order++;
    if (sink_counts.lost != 0) sink_counts.lost--;
  }
}

void sink_take(const uint8_t *payload, uint32_t bytes, uint32_t flow) {
  sink_counts.received++;
  sink_counts.bytes += bytes;
  if (bytes < HEAD_BYTES || check_of(payload, bytes) != load32(payload + CHECK_OFFSET)) {
    sink_counts.bad_checksum++;
    return;
  }
  follow(flow, load32(payload));
}
