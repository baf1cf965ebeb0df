//   VFU -> words -> REQ (lets go of VFU) -> PFACK -> PFSTS -> VFU -> words -> ACK (lets go of VFU)
//
// A read of VFMAILBOX clears PFSTS, PFACK and RSTD: what was seen is kept in `seen` until it is asked for.
#include "mailbox.h"

#include "registers.h"

#define REQ (1u << 0)
#define ACK (1u << 1)
#define VFU (1u << 2)
#define PFSTS (1u << 4)
#define PFACK (1u << 5)
#define RSTI (1u << 6)
#define RSTD (1u << 7)
#define CLEARED_BY_READ (PFSTS | PFACK | RSTD)

enum { WAIT_US = 200, WAIT_TRIES = 5000, LOCK_TRIES = 10, LOCK_US = 1000 };

static uint32_t seen;

static uint32_t read_flags(uint32_t slot) {
  uint32_t flags = bar_read(slot, 0, VFMAILBOX);
  seen |= flags & CLEARED_BY_READ;
  return flags;
}

static bool await(uint32_t slot, uint32_t flag) {
  for (uint32_t tries = 0; tries < WAIT_TRIES; tries++) {
    read_flags(slot);
    if (seen & flag) {
      seen &= ~flag;
      return true;
    }
    sleep_us(WAIT_US);
  }
  return false;
}

static bool lock(uint32_t slot) {
  for (uint32_t tries = 0; tries < LOCK_TRIES; tries++) {
    bar_write(slot, 0, VFMAILBOX, VFU);
    if (read_flags(slot) & VFU) return true;
    sleep_us(LOCK_US);
  }
  return false;
}

bool mailbox_ask(uint32_t slot, uint32_t *words, uint32_t sent, uint32_t received) {
  if (!lock(slot)) return false;
  seen &= ~(PFSTS | PFACK);
  for (uint32_t i = 0; i < sent; i++) bar_write(slot, 0, VFMBMEM + 4 * i, words[i]);
  bar_write(slot, 0, VFMAILBOX, REQ);
  if (!await(slot, PFACK) || !await(slot, PFSTS) || !lock(slot)) return false;
  for (uint32_t i = 0; i < received; i++) words[i] = bar_read(slot, 0, VFMBMEM + 4 * i);
  bar_write(slot, 0, VFMAILBOX, ACK);
  return true;
}

bool mailbox_granted(uint32_t slot, uint32_t *words, uint32_t count) {
  uint32_t id = words[0];
  return mailbox_ask(slot, words, count, count) && (words[0] & ~MESSAGE_CLEAR_TO_SEND) == (id | MESSAGE_SUCCESS);
}

uint32_t mailbox_peek(uint32_t slot) {
  if (!lock(slot)) return 0;
  uint32_t word = bar_read(slot, 0, VFMBMEM);
  bar_write(slot, 0, VFMAILBOX, ACK);
  return word;
}

bool mailbox_await_pf(uint32_t slot) {
  for (uint32_t tries = 0; tries < WAIT_TRIES; tries++) {
    if (!(read_flags(slot) & RSTI)) {
      seen = 0;
      return true;
    }
    sleep_us(WAIT_US);
  }
  return false;
}
