// Packet buffers of 2 KiB in a pool that is much larger than the rings.
#pragma once
#include "machine.h"

enum { BUFFER_BYTES = 2048 };

// False: not even `least` buffers fit the machine's memory.
bool buffers_create(uint32_t count, uint32_t least);
// All buffers are free again: for a device that touches none of them any more.
void buffers_reset(void);
// 0: all are in use.
uint32_t buffer_take(void);
void buffer_give_back(uint32_t buffer);
