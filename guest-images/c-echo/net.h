// A station with one address: ARP, ping, UDP echo and sink. Answers are made in the buffer the question came in.
#pragma once
#include "machine.h"

extern uint32_t net_ip;
extern uint8_t net_mac[6];

// Takes a frame. Returns how many bytes of the same buffer are to be sent back; 0: nothing.
uint32_t net_receive(uint8_t *frame, uint32_t bytes);
// Writes the ARP frame by which switches and neighbours learn of this station; returns its length.
uint32_t net_announce(uint8_t *frame);
