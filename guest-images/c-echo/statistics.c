#include "statistics.h"

#include "driver.h"
#include "registers.h"
#include "sink.h"

enum { FIRST_DRIVER = 16, FIRST_CARD = 24, CARD_COUNTERS = 5, INTERRUPTS = 29, TIMEOUTS = 30, CLOCK = 31 };
#define OCTETS_MASK 0xfffffffffull
#define PACKETS_MASK 0xffffffffull

// The card's counters wrap and cannot be written: each is carried on in 64 bits by what it moved since the last look.
static uint64_t carried[CARD_COUNTERS];
static uint64_t last[CARD_COUNTERS];

static uint64_t octets(uint32_t low, uint32_t high) {
  uint64_t low_bits = driver_register(low);
  return low_bits | (uint64_t)(driver_register(high) & 0xf) << 32;
}

static void look_at_card(void) {
  uint64_t now[CARD_COUNTERS] = {driver_register(VFGPRC), octets(VFGORC_LSB, VFGORC_MSB), driver_register(VFGPTC),
                                 octets(VFGOTC_LSB, VFGOTC_MSB), driver_register(VFMPRC)};
  for (uint32_t i = 0; i < CARD_COUNTERS; i++) {
    carried[i] += (now[i] - last[i]) & (i == 1 || i == 3 ? OCTETS_MASK : PACKETS_MASK);
    last[i] = now[i];
  }
}

void statistics_write(uint8_t *target) {
  uint64_t reply[STATISTICS_BYTES / 8] = {0};
  look_at_card();
  __builtin_memcpy(reply, &sink_counts, sizeof sink_counts);
  __builtin_memcpy(reply + FIRST_DRIVER, &driver_counts, sizeof driver_counts);
  __builtin_memcpy(reply + FIRST_CARD, carried, sizeof carried);
  reply[INTERRUPTS] = driver_interrupts;
  reply[TIMEOUTS] = driver_timeouts;
  reply[CLOCK] = clock_ns();
  __builtin_memcpy(target, reply, sizeof reply);
}
