// The VF's driver: one queue pair, polled; interrupts only end a sleep.
#pragma once
#include "machine.h"

// In the order in which the statistics reply has them.
struct driver_counts {
  uint64_t rx_packets;
  uint64_t rx_bytes;
  uint64_t tx_packets;
  uint64_t tx_bytes;
  uint64_t rx_errors;
  // Times that frames had to wait because the transmit ring was full.
  uint64_t tx_busy;
  uint64_t opens;
  // Always 0: this driver is never unloaded.
  uint64_t reloads;
};

extern struct driver_counts driver_counts;
extern uint64_t driver_interrupts;
// ENABLE did not follow.
extern uint64_t driver_timeouts;

enum link { LINK_DOWN, LINK_UP, LINK_LOST };

// Finds the VF and prepares memory. False: no VF, or no memory; the reason is on the console.
bool driver_find(void);
// Resets the VF, agrees with the PF, starts the queues, and announces the station. False: the PF does not answer yet.
bool driver_open(void);
void driver_close(void);
// Reaps, receives, answers. Returns how many frames were taken.
uint32_t driver_poll(void);
// Blocks until an interrupt, or the time is over. True: it was about the link.
bool driver_sleep(uint32_t timeout_us);
// LINK_LOST: the PF no longer listens to this VF, which has to be opened again.
enum link driver_link(void);
// A register of BAR0.
uint32_t driver_register(uint32_t offset);
