// Written the other way round from the stock driver:
//
//   completion      DD in the status word, not the length            refill   all 16 bytes, each time a fresh buffer
//   receive tail    the last filled slot, so all 256 are filled      contexts none, and no check-context bit
//   transmit        zero-copy from the receive buffer; one status report for 8 packets, at every eighth slot
//   interrupts      masked while polling, causes read (and so cleared) by hand; no auto-clear, no auto-mask
//   rings           not page aligned: the receive ring ends and the transmit ring begins in the same page
#include "driver.h"

#include "buffers.h"
#include "mailbox.h"
#include "net.h"
#include "registers.h"

enum { RING_SLOTS = 256, SLOT_MASK = RING_SLOTS - 1, SLOT_BYTES = 16, RING_OFFSET = 25 * 128 };
enum { POLL_FRAMES = 32, REPORT_EVERY = 8, DEFAULT_BUFFERS = 1536, LEAST_BUFFERS = 640 };
enum { VECTOR_QUEUES = 0, VECTOR_OTHER = 1, LINE_QUEUES = 5, LINE_OTHER = 9 };
enum { CAUSE_QUEUES = 1 << VECTOR_QUEUES, CAUSE_OTHER = 1 << VECTOR_OTHER, ALL_CAUSES = 7 };
enum { ENABLE_TRIES = 50, ENABLE_US = 200, FRAME_BYTES_MAX = 1518 };

struct descriptor {
  uint32_t word[4];
};

struct ring {
  volatile struct descriptor *slots;
  uint32_t buffer[RING_SLOTS];
};

struct driver_counts driver_counts;
uint64_t driver_interrupts;
uint64_t driver_timeouts;
static uint32_t vf;
static struct ring rx;
static struct ring tx;
// Next slot to look at; every slot holds a buffer.
static uint32_t rx_next;
// Inside a frame that spans several buffers: none of it is wanted.
static bool rx_skipping;
// [tx_clean, tx_next) are with the card; tx_clean is a multiple of REPORT_EVERY.
static uint32_t tx_clean;
static uint32_t tx_next;
static uint32_t tx_told;

static uint32_t get(uint32_t reg) { return bar_read(vf, 0, reg); }

static void set(uint32_t reg, uint32_t value) { bar_write(vf, 0, reg, value); }

uint32_t driver_register(uint32_t offset) { return get(offset); }

// --- finding it -----------------------------------------------------------------------------------------------------

bool driver_find(void) {
  for (vf = 1; vf < PCI_SLOTS && pci_read(vf, PCI_ID) != VF_82599_ID; vf++);
  if (vf == PCI_SLOTS) {
    print("c-echo: no 82599 VF in any slot\n");
    return false;
  }
  uint32_t rings = take_pages(RING_OFFSET + 2 * RING_SLOTS * SLOT_BYTES);
  if (rings == 0 || !buffers_create(option_number("pool=", DEFAULT_BUFFERS), LEAST_BUFFERS)) {
    print("c-echo: not enough memory for rings and buffers\n");
    return false;
  }
  rx.slots = (volatile struct descriptor *)(rings + RING_OFFSET);
  tx.slots = rx.slots + RING_SLOTS;
  pci_write(vf, PCI_COMMAND, pci_read(vf, PCI_COMMAND) | COMMAND_MEMORY_AND_MASTER);
  return true;
}

static void connect_vector(uint32_t table, uint32_t vector, uint32_t line) {
  uint32_t bar = table & 7;
  uint32_t entry = (table & ~7u) + 16 * vector;
  bar_write(vf, bar, entry, MSI_ADDRESS);
  bar_write(vf, bar, entry + 4, 0);
  bar_write(vf, bar, entry + 8, line);
  bar_write(vf, bar, entry + 12, 0);
}

static void connect_interrupts(void) {
  uint32_t at = pci_read(vf, PCI_CAPABILITIES) & 0xfc;
  while (at != 0 && (pci_read(vf, at) & 0xff) != CAPABILITY_MSIX) at = pci_read(vf, at) >> 8 & 0xfc;
  if (at == 0) return;
  uint32_t table = pci_read(vf, at + 4);
  connect_vector(table, VECTOR_QUEUES, LINE_QUEUES);
  connect_vector(table, VECTOR_OTHER, LINE_OTHER);
  pci_write(vf, at, pci_read(vf, at) | MSIX_ENABLE);
  set(VTEIAC, 0);
  set(VTEIAM, 0);
  // receive queue 0 and transmit queue 0
  set(VTIVAR, (0x80 | VECTOR_QUEUES) | (0x80 | VECTOR_QUEUES) << 8);
  set(VTIVAR_MISC, 0x80 | VECTOR_OTHER);
  set(VTEITR + 4 * VECTOR_QUEUES, EITR_16_US);
}

// --- agreeing with the PF -------------------------------------------------------------------------------------------

static void choose_mac(const uint32_t *reply) {
  uint8_t local[6] = {0x02, 0x53, net_ip & 0xff, net_ip >> 8 & 0xff, net_ip >> 16 & 0xff, net_ip >> 24};
  bool assigned = (reply[0] & MESSAGE_SUCCESS) != 0;
  for (uint32_t i = 0; i < 6; i++) net_mac[i] = assigned ? (uint8_t)(reply[1 + i / 4] >> 8 * (i % 4)) : local[i];
}

static bool negotiate_api(void) {
  // 1.3, 1.1, 1.0 by their numbers on the wire
  static const uint32_t VERSIONS[] = {4, 2, 0};
  for (uint32_t i = 0; i < sizeof VERSIONS / sizeof *VERSIONS; i++) {
    uint32_t words[3] = {MESSAGE_NEGOTIATE_API, VERSIONS[i], 0};
    if (mailbox_granted(vf, words, 3)) return true;
  }
  return false;
}

static bool agree_with_pf(void) {
  set(VFCTRL, CTRL_RST);
  get(VFSTATUS);
  sleep_us(1000);
  if (!mailbox_await_pf(vf)) return false;
  uint32_t reset[4] = {MESSAGE_RESET, 0, 0, 0};
  if (!mailbox_ask(vf, reset, 1, 4)) return false;
  if (reset[0] != (MESSAGE_RESET | MESSAGE_SUCCESS) && reset[0] != (MESSAGE_RESET | MESSAGE_FAILURE)) return false;
  choose_mac(reset);
  if (!negotiate_api()) return false;
  uint32_t queues[5] = {MESSAGE_GET_QUEUES, 0, 0, 0, 0};
  mailbox_granted(vf, queues, 5);
  uint32_t frame[2] = {MESSAGE_SET_MAX_FRAME, FRAME_BYTES_MAX};
  mailbox_granted(vf, frame, 2);
  uint32_t mac_high = net_mac[4] | (uint32_t)net_mac[5] << 8;
  uint32_t mac_low = net_mac[0] | (uint32_t)net_mac[1] << 8 | (uint32_t)net_mac[2] << 16 | (uint32_t)net_mac[3] << 24;
  uint32_t mac[3] = {MESSAGE_SET_MAC, mac_low, mac_high};
  return mailbox_granted(vf, mac, 3);
}

// --- queues ---------------------------------------------------------------------------------------------------------

static bool switch_queue(uint32_t reg, bool on, uint32_t other_bits) {
  set(reg, other_bits | (on ? QUEUE_ENABLE : 0));
  for (uint32_t tries = 0; tries < ENABLE_TRIES; tries++) {
    if (((get(reg) & QUEUE_ENABLE) != 0) == on) return true;
    sleep_us(ENABLE_US);
  }
  driver_timeouts++;
  return false;
}

static void post(uint32_t slot, uint32_t buffer) {
  rx.buffer[slot] = buffer;
  volatile struct descriptor *descriptor = &rx.slots[slot];
  descriptor->word[0] = buffer;
  descriptor->word[1] = 0;
  descriptor->word[2] = 0;
  descriptor->word[3] = 0;
}

static bool start_receive(void) {
  set(VFRDBAL, (uint32_t)rx.slots);
  set(VFRDBAH, 0);
  set(VFRDLEN, RING_SLOTS * SLOT_BYTES);
  set(VFRDH, 0);
  set(VFRDT, 0);
  set(VFPSRTYPE, PSRTYPE_HEADERS);
  set(VFSRRCTL, SRRCTL_ONE_BUFFER_2K);
  for (uint32_t slot = 0; slot < RING_SLOTS; slot++) post(slot, buffer_take());
  rx_next = 0;
  rx_skipping = false;
  if (!switch_queue(VFRXDCTL, true, RXDCTL_STRIP_VLAN)) return false;
  set(VFRDT, RING_SLOTS - 1);
  return true;
}

static bool start_transmit(void) {
  set(VFTDBAL, (uint32_t)tx.slots);
  set(VFTDBAH, 0);
  set(VFTDLEN, RING_SLOTS * SLOT_BYTES);
  set(VFTDWBAL, 0);
  set(VFTDWBAH, 0);
  set(VFTDH, 0);
  set(VFTDT, 0);
  tx_clean = tx_next = tx_told = 0;
  return switch_queue(VFTXDCTL, true, TXDCTL_THRESHOLDS);
}

void driver_close(void) {
  set(VTEIMC, ALL_CAUSES);
  switch_queue(VFRXDCTL, false, 0);
  switch_queue(VFTXDCTL, false, 0);
}

static void send(uint32_t buffer, uint32_t bytes) {
  uint32_t slot = tx_next;
  tx.buffer[slot] = buffer;
  volatile struct descriptor *descriptor = &tx.slots[slot];
  descriptor->word[0] = buffer;
  descriptor->word[1] = 0;
  descriptor->word[2] = TX_PACKET | bytes | (slot % REPORT_EVERY == REPORT_EVERY - 1 ? TX_REPORT : 0);
  descriptor->word[3] = bytes << TX_FRAME_BYTES_SHIFT;
  tx_next = (slot + 1) & SLOT_MASK;
  driver_counts.tx_packets++;
  driver_counts.tx_bytes += bytes;
}

static void tell_transmit_tail(void) {
  if (tx_told == tx_next) return;
  set(VFTDT, tx_next);
  tx_told = tx_next;
}

bool driver_open(void) {
  set(VTEIMC, ALL_CAUSES);
  if (!agree_with_pf()) return false;
  buffers_reset();
  if (!start_transmit() || !start_receive()) {
    driver_close();
    return false;
  }
  connect_interrupts();
  get(VTEICR);
  set(VTEIMS, CAUSE_OTHER);
  uint32_t announcement = buffer_take();
  send(announcement, net_announce((uint8_t *)announcement));
  tell_transmit_tail();
  driver_counts.opens++;
  return true;
}

// --- at work --------------------------------------------------------------------------------------------------------

static uint32_t transmit_room(void) { return (tx_clean - tx_next - 1) & SLOT_MASK; }

static void reap(void) {
  while (((tx_next - tx_clean) & SLOT_MASK) >= REPORT_EVERY) {
    if (!(tx.slots[tx_clean + REPORT_EVERY - 1].word[3] & TX_DONE)) return;
    for (uint32_t i = 0; i < REPORT_EVERY; i++) buffer_give_back(tx.buffer[tx_clean + i]);
    tx_clean = (tx_clean + REPORT_EVERY) & SLOT_MASK;
  }
}

static void take(uint32_t buffer, uint32_t status, uint32_t bytes) {
  bool wanted = !rx_skipping && (status & RX_LAST) && !(status & RX_FRAME_ERRORS);
  rx_skipping = !(status & RX_LAST);
  driver_counts.rx_packets++;
  driver_counts.rx_bytes += bytes;
  if (!wanted) driver_counts.rx_errors++;
  uint32_t answer_bytes = wanted ? net_receive((uint8_t *)buffer, bytes) : 0;
  if (answer_bytes != 0) send(buffer, answer_bytes);
  else buffer_give_back(buffer);
}

uint32_t driver_poll(void) {
  uint32_t taken = 0;
  reap();
  // a frame is taken only when its answer has a slot: what cannot be answered yet stays with the card
  for (; taken < POLL_FRAMES && transmit_room() != 0; taken++) {
    uint32_t slot = rx_next;
    uint32_t status = rx.slots[slot].word[2];
    if (!(status & RX_DONE)) break;
    uint32_t fresh = buffer_take();
    if (fresh == 0) break;
    uint32_t bytes = rx.slots[slot].word[3] & 0xffff;
    uint32_t buffer = rx.buffer[slot];
    post(slot, fresh);
    rx_next = (slot + 1) & SLOT_MASK;
    // the payload must not be read before DD was seen
    __atomic_signal_fence(__ATOMIC_ACQUIRE);
    take(buffer, status, bytes);
  }
  if (transmit_room() == 0) driver_counts.tx_busy++;
  if (taken != 0) set(VFRDT, (rx_next - 1) & SLOT_MASK);
  tell_transmit_tail();
  return taken;
}

bool driver_sleep(uint32_t timeout_us) {
  set(VTEIMS, CAUSE_QUEUES);
  uint32_t lines = wait_for_interrupt(timeout_us);
  set(VTEIMC, CAUSE_QUEUES);
  uint32_t causes = get(VTEICR);
  if (lines != 0) driver_interrupts++;
  return (lines & 1 << LINE_OTHER) != 0 || (causes & CAUSE_OTHER) != 0;
}

enum link driver_link(void) {
  if (!(get(VFLINKS) & LINKS_UP)) return LINK_DOWN;
  uint32_t word = mailbox_peek(vf);
  if (word & MESSAGE_CLEAR_TO_SEND) return LINK_UP;
  return word & MESSAGE_FAILURE ? LINK_LOST : LINK_DOWN;
}
