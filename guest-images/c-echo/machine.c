// Waiting, memory, command line and console.
#include "machine.h"

enum { GUEST_PAGE_BYTES = 4096, WASM_PAGE_BYTES = 65536, NO_OPTION = -1, END_OF_LINE = -1 };

extern uint8_t __heap_base;
static uint32_t free_from;

void sleep_us(uint32_t us) {
  uint64_t until_ns = clock_ns() + (uint64_t)us * 1000;
  for (;;) {
    uint64_t now_ns = clock_ns();
    if (now_ns >= until_ns) return;
    wait_for_interrupt((uint32_t)((until_ns - now_ns + 999) / 1000));
  }
}

uint32_t take_pages(uint32_t bytes) {
  if (free_from == 0) {
    free_from = ((uint32_t)&__heap_base + GUEST_PAGE_BYTES - 1) & ~(uint32_t)(GUEST_PAGE_BYTES - 1);
  }
  uint32_t rounded = (bytes + GUEST_PAGE_BYTES - 1) & ~(uint32_t)(GUEST_PAGE_BYTES - 1);
  uint64_t end = (uint64_t)free_from + rounded;
  uint64_t have = (uint64_t)__builtin_wasm_memory_size(0) * WASM_PAGE_BYTES;
  if (end > have) {
    uint64_t missing_pages = (end - have + WASM_PAGE_BYTES - 1) / WASM_PAGE_BYTES;
    if ((int32_t)__builtin_wasm_memory_grow(0, (uint32_t)missing_pages) < 0) return 0;
  }
  uint32_t start = free_from;
  free_from = (uint32_t)end;
  return start;
}

static bool is_digit(int32_t byte) { return byte >= '0' && byte <= '9'; }

static int32_t byte_at(int32_t index) { return (int32_t)command_line((uint32_t)index); }

// Index of the first byte of the value, or NO_OPTION.
static int32_t find_option(const char *key) {
  int32_t at = 0;
  while (byte_at(at) != END_OF_LINE) {
    int32_t matched = 0;
    while (key[matched] != 0 && byte_at(at + matched) == key[matched]) matched++;
    if (key[matched] == 0) return at + matched;
    while (byte_at(at) != END_OF_LINE && byte_at(at) != ' ') at++;
    while (byte_at(at) == ' ') at++;
  }
  return NO_OPTION;
}

static uint32_t number_at(int32_t *at) {
  uint32_t value = 0;
  for (; is_digit(byte_at(*at)); (*at)++) value = value * 10 + (uint32_t)(byte_at(*at) - '0');
  return value;
}

uint32_t option_number(const char *key, uint32_t fallback) {
  int32_t at = find_option(key);
  return at == NO_OPTION || !is_digit(byte_at(at)) ? fallback : number_at(&at);
}

uint32_t option_ip(const char *key) {
  int32_t at = find_option(key);
  uint32_t ip = 0;
  for (uint32_t shift = 0; at != NO_OPTION && shift < 32; shift += 8) {
    if (!is_digit(byte_at(at))) return 0;
    uint32_t part = number_at(&at);
    if (part > 255 || (shift < 24 && byte_at(at++) != '.')) return 0;
    ip |= part << shift;
  }
  return ip;
}

void print(const char *text) {
  for (; *text != 0; text++) console_write((uint8_t)*text);
}

void print_number(uint64_t value) {
  char digits[21];
  uint32_t at = sizeof digits - 1;
  digits[at] = 0;
  do {
    digits[--at] = (char)('0' + value % 10);
    value /= 10;
  } while (value != 0);
  print(digits + at);
}

void print_ip(uint32_t ip) {
  for (uint32_t shift = 0; shift < 32; shift += 8) {
    if (shift != 0) print(".");
    print_number(ip >> shift & 0xff);
  }
}

void print_mac(const uint8_t *mac) {
  static const char HEX[] = "0123456789abcdef";
  for (uint32_t i = 0; i < 6; i++) {
    if (i != 0) print(":");
    console_write((uint8_t)HEX[mac[i] >> 4]);
    console_write((uint8_t)HEX[mac[i] & 15]);
  }
}
