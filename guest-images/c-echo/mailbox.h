// The mailbox to the PF, as drivers that wait for the acknowledgement use it.
#pragma once
#include "machine.h"

#define MESSAGE_SUCCESS 0x80000000u
#define MESSAGE_FAILURE 0x40000000u
#define MESSAGE_CLEAR_TO_SEND 0x20000000u

enum message_id {
  MESSAGE_RESET = 0x01,
  MESSAGE_SET_MAC = 0x02,
  MESSAGE_SET_MAX_FRAME = 0x05,
  MESSAGE_NEGOTIATE_API = 0x08,
  MESSAGE_GET_QUEUES = 0x09,
};

// Sends `sent` words, waits for PFACK and for the reply, and fetches `received` words over them.
bool mailbox_ask(uint32_t slot, uint32_t *words, uint32_t sent, uint32_t received);
// The same for a request whose reply repeats its id. True: granted.
bool mailbox_granted(uint32_t slot, uint32_t *words, uint32_t count);
// Word 0 as it stands; acknowledged. 0 when the PF holds the buffer.
uint32_t mailbox_peek(uint32_t slot);
// Waits until the PF is out of its reset; what was seen before the VF's own reset is forgotten.
bool mailbox_await_pf(uint32_t slot);
