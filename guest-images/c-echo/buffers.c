// A queue of free buffers, first in, first out: a buffer is used again only after every other free one.
//
//   page n          page n + 1      page n + 2
//   |........[======|====]....[=====|=====].....|     each buffer begins in the upper half of a page, at an odd multiple
//                                                    of 64, and ends in the next one; two buffers share every page
#include "buffers.h"

enum { PAGE_BYTES = 4096, FIRST_OFFSET = 33 * 64, OFFSET_STEP = 2 * 64, OFFSETS = 16 };

static uint32_t first_page;
static uint32_t *queue;
static uint32_t capacity;
static uint32_t head;
static uint32_t free_count;

static uint32_t buffer_at(uint32_t index) {
  return first_page + index * PAGE_BYTES + FIRST_OFFSET + index % OFFSETS * OFFSET_STEP;
}

bool buffers_create(uint32_t count, uint32_t least) {
  for (; count >= least; count -= count / 4) {
    uint32_t bytes = (count + 1) * PAGE_BYTES;
    uint32_t start = take_pages(bytes + count * sizeof *queue);
    if (start == 0) continue;
    first_page = start;
    queue = (uint32_t *)(start + bytes);
    capacity = count;
    buffers_reset();
    return true;
  }
  return false;
}

void buffers_reset(void) {
  for (uint32_t i = 0; i < capacity; i++) queue[i] = buffer_at(i);
  head = 0;
  free_count = capacity;
}

uint32_t buffer_take(void) {
  if (free_count == 0) return 0;
  uint32_t buffer = queue[head];
  head = head + 1 == capacity ? 0 : head + 1;
  free_count--;
  return buffer;
}

void buffer_give_back(uint32_t buffer) {
  uint32_t end = head + free_count;
  queue[end >= capacity ? end - capacity : end] = buffer;
  free_count++;
}
