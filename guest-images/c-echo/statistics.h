// The reply to a query on UDP port 9001: 32 counters, u64 little-endian, in the order that the other images use too.
//
//   0 received  1 bytes  2 bad checksum  3 out of order  4 duplicates  5 lost  6..15 unused        the sink
//   16 rxPackets 17 rxBytes 18 txPackets 19 txBytes 20 rxErrors 21 txBusy 22 opens 23 reloads      the driver
//   24 VFGPRC 25 VFGORC 26 VFGPTC 27 VFGOTC 28 VFMPRC   29 interrupts 30 time-outs 31 clock, ns    the card, the machine
#pragma once
#include <stdint.h>

// A query whose first word is STATISTICS_RESET sets the sink's back.
enum { STATISTICS_BYTES = 256, STATISTICS_RESET = 1 };

void statistics_write(uint8_t *target);
