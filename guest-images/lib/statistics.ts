/**
 * The VF's statistics registers: 32 or 36 bits that wrap, are not cleared by reading and cannot be written. The driver
 * carries them on in 64 bits. A register that ran backwards looks like a wrap: the count would jump, and a test sees it.
 */
import { readCounter } from './compsc-page';
import { Network } from './network';
import { COMPSC } from './variant';
import {
  readRegister,
  VFGORC_LSB,
  VFGORC_MSB,
  VFGOTC_LSB,
  VFGOTC_MSB,
  VFGPRC,
  VFGPTC,
  VFMPRC,
} from './vf';

const OCTET_MASK: u64 = (1 << 36) - 1;

function octets(slot: u32, low: u32, high: u32): u64 {
  if (COMPSC) return readCounter(slot, low, high) & OCTET_MASK;
  const bits31To0 = <u64>readRegister(slot, low);
  return bits31To0 | (<u64>(readRegister(slot, high) & 0xf) << 32);
}

@inline function packets(slot: u32, register: u32): u32 {
  return COMPSC ? <u32>readCounter(slot, register, 0) : readRegister(slot, register);
}

/** Takes what the registers show now as where counting starts. */
export function baselineStatistics(net: Network): void {
  net.lastGprc = packets(net.slot, VFGPRC);
  net.lastGorc = octets(net.slot, VFGORC_LSB, VFGORC_MSB);
  net.lastGptc = packets(net.slot, VFGPTC);
  net.lastGotc = octets(net.slot, VFGOTC_LSB, VFGOTC_MSB);
  net.lastMprc = packets(net.slot, VFMPRC);
}

export function updateStatistics(net: Network): void {
  // a virtio NIC counts nothing that its driver could read
  if (isDefined(virtioPacketBuffer)) {
    if (net.tx0.tail == 0) return;
  }
  const gprc = packets(net.slot, VFGPRC);
  net.gprc += <u64>(gprc - net.lastGprc);
  net.lastGprc = gprc;
  const gptc = packets(net.slot, VFGPTC);
  net.gptc += <u64>(gptc - net.lastGptc);
  net.lastGptc = gptc;
  const gorc = octets(net.slot, VFGORC_LSB, VFGORC_MSB);
  net.gorc += (gorc - net.lastGorc) & OCTET_MASK;
  net.lastGorc = gorc;
  const gotc = octets(net.slot, VFGOTC_LSB, VFGOTC_MSB);
  net.gotc += (gotc - net.lastGotc) & OCTET_MASK;
  net.lastGotc = gotc;
  const mprc = packets(net.slot, VFMPRC);
  net.mprc += <u64>(mprc - net.lastMprc);
  net.lastMprc = mprc;
}
