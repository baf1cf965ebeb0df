//   payload | u32 seq | u32 check | f64 timestamp | words ...     little-endian
//
//   check = s1 ^ rotl(s2, 16): s1 the sum of all whole words but `check`, s2 the running sum of s1
#include "sink.h"

#include <stdbool.h>

#include "bytes.h"

enum { CHECK_OFFSET = 4, HEAD_BYTES = 16, FLOWS = 32, WINDOW = 65536 };
// A second 0 that comes later than this after the first is a flow that begins anew.
enum { RESTART_DISTANCE = 64 };

struct flow {
  uint32_t ip;
  uint32_t port;
  uint32_t next;
  // Numbers from the flow's first one to `next`: what was before them was never expected.
  uint64_t span;
  // One bit for each of the newest WINDOW numbers.
  uint32_t seen[WINDOW / 32];
};

struct sink_counts sink_counts;
static struct flow flows[FLOWS];
static uint32_t flow_count;

static bool was_seen(const struct flow *flow, uint32_t seq) {
  return (flow->seen[seq % WINDOW / 32] >> seq % 32 & 1) != 0;
}

static void set_seen(struct flow *flow, uint32_t seq) { flow->seen[seq % WINDOW / 32] |= 1u << seq % 32; }

static void clear_seen(struct flow *flow, uint32_t seq) { flow->seen[seq % WINDOW / 32] &= ~(1u << seq % 32); }

static void begin(struct flow *flow, uint32_t seq) {
  flow->next = seq;
  flow->span = 0;
  __builtin_memset(flow->seen, 0, sizeof flow->seen);
}

// The last flow is shared by all that come too late.
static struct flow *find(uint32_t ip, uint32_t port, uint32_t seq) {
  for (uint32_t i = 0; i < flow_count; i++) {
    if (flows[i].ip == ip && flows[i].port == port) return &flows[i];
  }
  if (flow_count == FLOWS) return &flows[FLOWS - 1];
  struct flow *flow = &flows[flow_count++];
  flow->ip = ip;
  flow->port = port;
  begin(flow, seq);
  return flow;
}

static uint32_t check_of(const uint8_t *payload, uint32_t bytes) {
  uint32_t s1 = load32(payload);
  uint32_t s2 = s1;
  for (uint32_t at = CHECK_OFFSET + 4; at + 4 <= bytes; at += 4) {
    s1 += load32(payload + at);
    s2 += s1;
  }
  return s1 ^ (s2 << 16 | s2 >> 16);
}

// Those that are skipped count as lost until they come after all.
static void advance(struct flow *flow, uint32_t seq) {
  uint32_t skipped = seq - flow->next;
  sink_counts.lost += skipped;
  if (skipped >= WINDOW) __builtin_memset(flow->seen, 0, sizeof flow->seen);
  else for (uint32_t each = flow->next; each != seq; each++) clear_seen(flow, each);
  flow->span += (uint64_t)skipped + 1;
  flow->next = seq + 1;
  set_seen(flow, seq);
}

static void follow(struct flow *flow, uint32_t seq) {
  uint32_t behind = flow->next - seq;
  if ((int32_t)behind <= 0) {
    advance(flow, seq);
  } else if (behind > WINDOW || (seq == 0 && behind > RESTART_DISTANCE)) {
    begin(flow, seq);
    advance(flow, seq);
  } else if (was_seen(flow, seq)) {
    sink_counts.duplicates++;
  } else {
    sink_counts.out_of_order++;
    if (behind <= flow->span) sink_counts.lost--;
    set_seen(flow, seq);
  }
}

void sink_take(const uint8_t *payload, uint32_t bytes, uint32_t ip, uint32_t port) {
  sink_counts.received++;
  sink_counts.bytes += bytes;
  if (bytes < HEAD_BYTES || check_of(payload, bytes) != load32(payload + CHECK_OFFSET)) {
    sink_counts.bad_checksum++;
    return;
  }
  uint32_t seq = load32(payload);
  follow(find(ip, port, seq), seq);
}

void sink_reset(void) {
  sink_counts = (struct sink_counts){0};
  flow_count = 0;
}
