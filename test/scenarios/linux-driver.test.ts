/**
 * The stock ixgbevf on our VF, in two Linux guests on one wire: what people do to an interface, and what the kernel says
 * about it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bootLocal, isImageBuilt, type LocalGuest, linuxImage, NOT_BUILT } from './linux-guests.js';

/** What a healthy driver never writes. */
const TROUBLE =
  /Tx Unit Hang|WARNING|BUG:|Oops|lost CTS|reset adapter|PF still|not assigned|Failed|timed out/i;

let folder: string;
let one: LocalGuest;
let other: LocalGuest;

const output = async (command: string, guest = one): Promise<string> => {
  const { status, output: text } = await guest.shell.run(command);
  expect(status, `${command}: ${text}`).toBe(0);
  return text;
};
const linkIsUp = () =>
  output('for i in $(seq 50); do grep -q 1 /sys/class/net/eth0/carrier && break; usleep 200000; done');
const pings = () => output('ping -c 2 -W 5 10.0.0.2');

describe.skipIf(!isImageBuilt)(isImageBuilt ? 'the stock driver on our VF' : NOT_BUILT, () => {
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'srvm-linux-'));
    const wire = `unix:${join(folder, 'wire.sock')}`;
    [one, other] = await Promise.all([
      bootLocal(`${wire},server`, '52:54:00:00:00:01', 'ip=10.0.0.1'),
      bootLocal(wire, '52:54:00:00:00:02', 'ip=10.0.0.2 serve=iperf3'),
    ]);
  }, 240_000);

  afterAll(async () => {
    await one?.close();
    await other?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it("is the package's, byte for byte", async () => {
    const { kernelPackage } = linuxImage();
    expect(await output('uname -r')).toContain(kernelPackage.split(' ')[0]!.replace('linux-image-', ''));
    expect(await output('ethtool -i eth0')).toContain('driver: ixgbevf');
  });

  it('brings its link up and reaches the other guest', async () => {
    await linkIsUp();
    expect(await output('ethtool eth0')).toMatch(/Speed: 10000Mb\/s/);
    expect(await pings()).toContain(' 0% packet loss');
  });

  it('is unloaded and loaded again', async () => {
    for (let round = 0; round < 3; round++) {
      await output('rmmod ixgbevf && modprobe ixgbevf');
      await output('ip addr add 10.0.0.1/24 dev eth0 && ip link set eth0 up');
      await linkIsUp();
    }
    await pings();
  });

  it('goes down and up', async () => {
    for (let round = 0; round < 5; round++) {
      await output('ip link set eth0 down && ip link set eth0 up');
      await linkIsUp();
    }
    await pings();
  });

  it('takes every MTU up to the largest', async () => {
    for (const mtu of [1400, 9000, 9710, 1500]) {
      await output(`ip link set eth0 mtu ${mtu}`);
      await output(`ip link set eth0 mtu ${mtu}`, other);
      await linkIsUp();
      await output(`ping -c 2 -W 5 -s ${mtu - 28} 10.0.0.2`);
    }
  });

  it('carries VLANs', async () => {
    for (const [guest, host] of [
      [one, 1],
      [other, 2],
    ] as const) {
      await output('modprobe 8021q && ip link add link eth0 name eth0.7 type vlan id 7', guest);
      await output(`ip addr add 10.7.0.${host}/24 dev eth0.7 && ip link set eth0.7 up`, guest);
    }
    await output('ping -c 2 -W 5 10.7.0.2');
    await output('ip link del eth0.7');
    await output('ip link del eth0.7', other);
  });

  it('is asked everything ethtool asks', async () => {
    for (const option of ['-S', '-d', '-i', '-k', '-g', '-c']) await output(`ethtool ${option} eth0`);
    await output('ethtool -G eth0 rx 1024 tx 1024');
    await linkIsUp();
    await output('ethtool -C eth0 rx-usecs 100');
    await pings();
  });

  it('changes its address, listens to everything and to groups', async () => {
    await output('ip link set eth0 address 52:54:00:00:00:0a');
    await linkIsUp();
    await pings();
    await output('ip link set eth0 promisc on && ifconfig eth0 allmulti');
    await output('ip maddr add 01:00:5e:01:02:03 dev eth0');
    await pings();
    await output('ip link set eth0 promisc off && ifconfig eth0 -allmulti');
  });

  it('moves TCP both ways', async () => {
    expect(await output('iperf3 -c 10.0.0.2 -t 2')).toContain('iperf Done');
    expect(await output('iperf3 -c 10.0.0.2 -t 2 -R')).toContain('iperf Done');
  });

  it('had nothing to complain of', async () => {
    for (const guest of [one, other]) {
      const log = await output('dmesg | tail -n +150', guest);
      expect(log.split('\n').filter((line) => TROUBLE.test(line))).toEqual([]);
      expect(guest.vm.info().vfs[0]!.dmaFaults).toEqual({ reads: 0, writes: 0 });
    }
  });
});
