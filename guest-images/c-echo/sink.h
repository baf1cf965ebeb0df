// The sink on UDP port 9: takes test payloads, checks them and counts what is wrong with them.
#pragma once
#include <stdint.h>

// In the order in which the statistics reply has them.
struct sink_counts {
  uint64_t received;
  uint64_t bytes;
  uint64_t bad_checksum;
  uint64_t out_of_order;
  uint64_t duplicates;
  uint64_t lost;
};

extern struct sink_counts sink_counts;

// Flows are told apart by source address and port, in any byte order.
void sink_take(const uint8_t *payload, uint32_t bytes, uint32_t ip, uint32_t port);
// Counters to zero; flows may begin anywhere.
void sink_reset(void);
