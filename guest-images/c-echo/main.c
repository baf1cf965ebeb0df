// The image: open the VF, then poll while there is work, look a few times more, and sleep until an interrupt.
#include "driver.h"
#include "net.h"

enum { SHORT_POLLS = 8, SLEEP_US = 1000000, SLEEP_WITHOUT_LINK_US = 100000, REOPEN_US = 1000000 };
enum { EXIT_NO_DEVICE = 1, EXIT_NO_ADDRESS = 2 };

static void print_state(const char *state) {
  print("c-echo: ");
  print_ip(net_ip);
  print(" at ");
  print_mac(net_mac);
  print(state);
}

// Returns when the VF has to be opened again.
static void serve(void) {
  enum link link = LINK_DOWN;
  bool look = true;
  uint32_t idle_polls = 0;
  for (;;) {
    if (look) {
      enum link now = driver_link();
      if (now == LINK_LOST) return;
      if (now != link) print_state(now == LINK_UP ? ": link is up\n" : ": link is down\n");
      link = now;
      look = false;
    }
    idle_polls = driver_poll() != 0 ? 0 : idle_polls + 1;
    if (idle_polls < SHORT_POLLS) continue;
    look = driver_sleep(link == LINK_UP ? SLEEP_US : SLEEP_WITHOUT_LINK_US) || link == LINK_DOWN;
    idle_polls = 0;
  }
}

__attribute__((export_name("run"))) uint32_t run(void) {
  net_ip = option_ip("ip=");
  if (net_ip == 0) {
    print("c-echo: no address: put ip=A.B.C.D on the command line\n");
    return EXIT_NO_ADDRESS;
  }
  if (!driver_find()) return EXIT_NO_DEVICE;
  for (;;) {
    if (driver_open()) {
      serve();
      driver_close();
      print_state(": the PF wants a reset\n");
    }
    sleep_us(REOPEN_US);
  }
}
