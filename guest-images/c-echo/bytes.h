// Fields of packets, which lie at any alignment, as they lie in memory.
#pragma once
#include <stdint.h>

static inline uint32_t load16(const uint8_t *at) {
  uint16_t value;
  __builtin_memcpy(&value, at, sizeof value);
  return value;
}

static inline uint32_t load32(const uint8_t *at) {
  uint32_t value;
  __builtin_memcpy(&value, at, sizeof value);
  return value;
}

static inline void store16(uint8_t *at, uint32_t value) {
  uint16_t low = (uint16_t)value;
  __builtin_memcpy(at, &low, sizeof low);
}

static inline void store32(uint8_t *at, uint32_t value) { __builtin_memcpy(at, &value, sizeof value); }

static inline uint32_t swap16(uint32_t value) { return __builtin_bswap16((uint16_t)value); }
