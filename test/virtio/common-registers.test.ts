/** The registers of the paravirtual NIC as its driver meets them. */
import { describe, expect, it } from 'vitest';
import { COMMON_REGISTERS } from '../../src/virtio/common-registers.js';
import { BELL, STAT, WORD } from '../../src/virtio/device-words.js';
import { NetFunction } from '../../src/virtio/net-function.js';
import { FEATURE, MAX_QUEUE_SIZE, NO_VECTOR, STATUS } from '../../src/virtio/spec.js';
import { BenchGuest, COMMON, FEATURES, MAC_A } from './bench-device.js';

describe('common configuration', () => {
  it('has every register in a place of its own', () => {
    const bytes = COMMON_REGISTERS.flatMap(({ offset, bytes: width }) =>
      Array.from({ length: width }, (_, i) => offset + i),
    );
    expect(new Set(bytes).size).toBe(bytes.length);
    expect(bytes.length).toBe(0x38);
    for (const { name, offset, bytes: width } of COMMON_REGISTERS) expect(offset % width, name).toBe(0);
  });

  it('offers its features, and version 1 in the upper word', () => {
    const guest = new BenchGuest();
    expect(guest.read(COMMON.deviceFeature)).toBe(FEATURES >>> 0);
    guest.write(COMMON.deviceFeatureSelect, 1);
    expect(guest.read(COMMON.deviceFeature)).toBe(3);
    guest.write(COMMON.deviceFeatureSelect, 2);
    expect(guest.read(COMMON.deviceFeature)).toBe(0);
  });

  it.each([
    ['what is offered', FEATURE.mac | FEATURE.csum, 1, true],
    ['addresses of the bus', FEATURE.mac, 3, true],
    ['no version 1', FEATURE.mac, 0, false],
    ['a feature that is not offered', FEATURE.mac | (1 << 22), 1, false],
    ['an upper feature that is not offered', FEATURE.mac, 5, false],
    ['segments to be cut without checksums', FEATURE.hostTso4, 1, false],
    ['large segments without checksums', FEATURE.guestTso4, 1, false],
  ])('a driver that takes %s', (_, features, high, agreed) => {
    expect(new BenchGuest().negotiate(features, high)).toBe(agreed);
  });

  it('keeps features once they are settled', () => {
    const guest = new BenchGuest();
    guest.negotiate(FEATURE.mac);
    guest.write(COMMON.driverFeatureSelect, 0);
    guest.write(COMMON.driverFeature, FEATURE.csum);
    expect(guest.read(COMMON.driverFeature)).toBe(FEATURE.mac);
  });

  it('takes one access of 32 bits for all registers that it covers', () => {
    const guest = new BenchGuest();
    guest.negotiate(0);
    guest.write(COMMON.status, guest.status | (1 << 16));
    expect(guest.read(COMMON.status) >>> 16).toBe(1);
    guest.write(COMMON.queueSize, 128 | (2 << 16));
    expect(guest.read(COMMON.queueSize)).toBe(128 | (2 << 16));
    // half of a register is none
    guest.write(COMMON.queueSize, 64, 1);
    guest.write(COMMON.queueSize + 3, 64, 2);
    expect(guest.read(COMMON.queueSize)).toBe(128 | (2 << 16));
  });

  it('takes no size that is none, and no vector that is not there', () => {
    const guest = new BenchGuest();
    for (const size of [0, 3, 2048, 65535]) guest.write(COMMON.queueSize, size, 2);
    expect(guest.read(COMMON.queueSize) & 0xffff).toBe(MAX_QUEUE_SIZE);
    guest.write(COMMON.queueVector, 3, 2);
    guest.write(COMMON.configVector, 900, 2);
    expect(guest.read(COMMON.queueSize) >>> 16).toBe(NO_VECTOR);
    expect(guest.read(COMMON.configVector) & 0xffff).toBe(NO_VECTOR);
  });

  it('has no third queue', () => {
    const guest = new BenchGuest();
    guest.write(COMMON.queueSelect, 2, 2);
    expect(guest.read(COMMON.queueSize)).toBe((NO_VECTOR << 16) >>> 0);
    guest.write(COMMON.queueSize, 64, 2);
    guest.write(COMMON.queueEnable, 1, 2);
    expect(guest.read(COMMON.queueEnable) & 0xffff).toBe(0);
  });

  it('leaves a queue where it is once it is enabled, until the reset', () => {
    const guest = new BenchGuest().bringUp();
    const before = guest.read(COMMON.descriptors);
    guest.write(COMMON.descriptors, 0x5000);
    guest.write(COMMON.queueSize, 8, 2);
    guest.write(COMMON.queueEnable, 0, 2);
    expect(guest.read(COMMON.descriptors)).toBe(before);
    expect(guest.read(COMMON.queueSize) & 0xffff).toBe(guest.queueSize);
    expect(guest.read(COMMON.queueEnable) & 0xffff).toBe(1);
    guest.write(COMMON.status, 0, 1);
    expect(guest.status).toBe(0);
    expect(guest.read(COMMON.descriptors)).toBe(0);
    expect(guest.read(COMMON.queueEnable) & 0xffff).toBe(0);
    expect(guest.read(COMMON.queueSize)).toBe(((NO_VECTOR << 16) | MAX_QUEUE_SIZE) >>> 0);
  });

  it('waits with a reset until its queues are not being served', () => {
    const guest = new BenchGuest().bringUp();
    guest.port.enter();
    let waits = 0;
    const patient = new NetFunction(guest.handle, guest.msi, () => {
      waits++;
      expect(guest.status).not.toBe(0);
      guest.port.leave();
    });
    patient.barWrite(0, COMMON.status, 0, 1);
    expect(waits).toBe(1);
    expect(guest.status).toBe(0);
    expect(guest.port.enter()).toBe(false);
  });

  it('keeps saying that it wants to be reset, until it is', () => {
    const guest = new BenchGuest().bringUp();
    guest.words.set(WORD.status, guest.status | STATUS.needsReset);
    guest.write(COMMON.status, STATUS.acknowledge | STATUS.driver, 1);
    expect(guest.status & STATUS.needsReset).not.toBe(0);
    guest.write(COMMON.status, 0, 1);
    guest.write(COMMON.status, STATUS.acknowledge | STATUS.needsReset, 1);
    expect(guest.status).toBe(STATUS.acknowledge);
  });

  it('rings its backend when a driver is ready', () => {
    const guest = new BenchGuest();
    const rung = () => guest.words.bell[BELL.rung];
    guest.bringUp();
    expect(rung()).toBeGreaterThan(0);
    const before = rung()!;
    guest.function.barWrite(0, 0x3000, 0, 2);
    expect(rung()).toBe(before + 1);
    expect(guest.words.get(WORD.stats + STAT.notifications)).toBe(1);
    guest.write(COMMON.status, 0, 1);
    guest.function.barWrite(0, 0x3004, 1, 2);
    expect(rung()).toBe(before + 1);
  });

  it('says its address, its link and its MTU', () => {
    const guest = new BenchGuest();
    const device = (offset: number) => guest.function.barRead(0, 0x2000 + offset);
    expect(device(0)).toBe(MAC_A[0]);
    expect(device(4)).toBe(MAC_A[1] | (1 << 16));
    expect(device(8)).toBe(1 | (1500 << 16));
  });
});
