// The machine this guest runs on: the imports of guest.wit, and what every part needs of them.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define FROM_MACHINE(name) __attribute__((import_module("srvm:guest/machine@0.1.0"), import_name(name)))

FROM_MACHINE("pci-read") uint32_t pci_read(uint32_t slot, uint32_t offset);
FROM_MACHINE("pci-write") void pci_write(uint32_t slot, uint32_t offset, uint32_t value);
FROM_MACHINE("bar-read") uint32_t bar_read(uint32_t slot, uint32_t bar, uint32_t offset);
FROM_MACHINE("bar-write") void bar_write(uint32_t slot, uint32_t bar, uint32_t offset, uint32_t value);
FROM_MACHINE("wait-for-interrupt") uint32_t wait_for_interrupt(uint32_t timeout_us);
FROM_MACHINE("clock-ns") uint64_t clock_ns(void);
FROM_MACHINE("console-write") void console_write(uint32_t byte);
FROM_MACHINE("command-line") uint32_t command_line(uint32_t index);

// Sleeps at least so long. Lines that come meanwhile are forgotten: the main loop looks at rings and link anyway.
void sleep_us(uint32_t us);

// Zeroed pages at the end of memory, never given back. 0: the machine has no more.
uint32_t take_pages(uint32_t bytes);

// Options are words "key=value" on the command line; `key` includes the "=".
uint32_t option_number(const char *key, uint32_t fallback);
// First byte in bits 7:0, as an address lies in a packet. 0: missing or malformed.
uint32_t option_ip(const char *key);

void print(const char *text);
void print_number(uint64_t value);
void print_ip(uint32_t ip);
void print_mac(const uint8_t *mac);
