/**
 * The stock ixgbevf on our VF: what people do to an interface, what a host does to its cards, and what the kernel says
 * about it.
 *
 *   guest one == cable that can be pulled == switch == guest other
 *                                                  '== station: frames that no stack would send
 *
 * SRVM_SOAK=1: the driver is loaded 20 times and the interface set up 50 times.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lab } from '../../src/cli/lab.js';
import { type OpenedWire, openWire } from '../../src/hardware/wire/open.js';
import type { TrafficPeer } from '../../src/measure/load/traffic-peer.js';
import { bootLocal, isImageBuilt, type LocalGuest, linuxImage, NOT_BUILT } from './linux-guests.js';
import { kernelTrouble } from './linux-log.js';
import { until } from './shuttle.js';

const SOAK = process.env['SRVM_SOAK'] === '1';
const RELOADS = SOAK ? 20 : 3;
const UPS = SOAK ? 50 : 5;
const LIMIT_MS = SOAK ? 1_200_000 : 120_000;
const MAC = { one: '52:54:00:00:00:01', other: '52:54:00:00:00:02', changed: '52:54:00:00:00:0a' } as const;
const NOBODY = '52:54:00:00:00:77';
const GROUP = '01:00:5e:01:02:03';
/** Frames that come by themselves meanwhile: the stacks ask for each other's address again. */
const STRAY = 10;

let lab: Lab;
let cable: OpenedWire;
let one: LocalGuest;
let other: LocalGuest;
let station: TrafficPeer;

const output = async (command: string, guest = one): Promise<string> => {
  const { status, output: text } = await guest.shell.run(command, LIMIT_MS);
  expect(status, `${command}: ${text}`).toBe(0);
  return text;
};
const carrierIs = (up: boolean) =>
  output(`for i in $(seq 300); do grep -q ${up ? 1 : 0} /sys/class/net/eth0/carrier && break; usleep 100000; done; \
grep -q ${up ? 1 : 0} /sys/class/net/eth0/carrier`);
const pings = async (target = '10.0.0.2') =>
  expect(await output(`ping -c 2 -W 5 ${target}`)).toContain(' 0% packet loss');
const counter = async (name: string): Promise<number> =>
  Number(new RegExp(`${name}: (\\d+)`).exec(await output('ethtool -S eth0'))?.[1]);
const linkUps = async (): Promise<number> =>
  Number(/^(\d+)\r?$/m.exec(await output('dmesg | grep -c "Link is Up"'))?.[1]);

function plugIn(): void {
  cable = openWire(`unix:${join(lab.folder, 'one.sock')},server`);
  lab.fabric.addPort('one', cable);
}

/** Frames of an experimental type to an address: the stack drops them, the driver counts them. */
function sendTo(mac: string, frames: number): void {
  const frame = new Uint8Array(100);
  frame.set(Buffer.from(mac.replaceAll(':', ''), 'hex'), 0);
  frame.set(station.mac, 6);
  frame.set([0x88, 0xb5], 12);
  for (let sent = 0; sent < frames; sent++) station.transmit(frame, 0, frame.length);
  station.step();
}

/** How many of 50 frames for `mac` the guest's driver receives; those for itself tell when all have come. */
async function receives(mac: string): Promise<number> {
  await output('sysctl -q net.ipv6.conf.eth0.disable_ipv6=1');
  const before = await counter('rx_packets');
  sendTo(mac, 50);
  sendTo(MAC.one, 10);
  let seen = 0;
  await until('the frames after them have come', async () => {
    seen = (await counter('rx_packets')) - before;
    return seen >= 10;
  });
  return (await counter('rx_packets')) - before - 10;
}

describe.skipIf(!isImageBuilt)(
  isImageBuilt ? 'the stock driver on our VF' : NOT_BUILT,
  { timeout: LIMIT_MS },
  () => {
    beforeAll(async () => {
      lab = Lab.create();
      plugIn();
      station = lab.peer('52:54:00:00:00:fe', '10.0.0.254');
      one = await bootLocal(`unix:${join(lab.folder, 'one.sock')}`, MAC.one, 'ip=10.0.0.1 serve=iperf3,http');
      other = await bootLocal(lab.port('other'), MAC.other, 'ip=10.0.0.2 serve=iperf3,http');
    }, 240_000);

    afterAll(async () => {
      await one?.close();
      await other?.close();
      await lab?.close();
    });

    it("is the package's, byte for byte", async () => {
      const { kernelPackage } = linuxImage();
      expect(await output('uname -r')).toContain(kernelPackage.split(' ')[0]!.replace('linux-image-', ''));
      expect(await output('ethtool -i eth0')).toContain('driver: ixgbevf');
    });

    it('brings its link up, with a vector for its queues and one for its mailbox', async () => {
      await carrierIs(true);
      expect(await output('ethtool eth0')).toMatch(/Speed: 10000Mb\/s/);
      expect(await output('ip addr show eth0')).toContain(MAC.one);
      expect(await output('cat /proc/interrupts')).toMatch(
        /MSIX.* 0 Edge +eth0-TxRx-0\r?\n.*MSIX.* 1 Edge +eth0\r?\n/,
      );
      await pings();
    });

    it('is unloaded and loaded again', async () => {
      for (let round = 0; round < RELOADS; round++) {
        await output('rmmod ixgbevf && modprobe ixgbevf');
        await output('ip addr add 10.0.0.1/24 dev eth0 && ip link set eth0 up');
        await carrierIs(true);
      }
      await pings();
    });

    it('goes down and up', async () => {
      for (let round = 0; round < UPS; round++) {
        await output('ip link set eth0 down && ip link set eth0 up');
        await carrierIs(true);
      }
      await pings();
    });

    it('takes every MTU up to the largest, and none above', async () => {
      // 1646 is the last that shares a page between two buffers
      for (const mtu of [68, 1400, 1646, 1647, 9000, 9710, 1500]) {
        for (const guest of [one, other]) await output(`ip link set eth0 mtu ${mtu}`, guest);
        await carrierIs(true);
        await output(`ping -c 2 -W 5 -s ${mtu - 28} 10.0.0.2`);
      }
      expect((await one.shell.run('ip link set eth0 mtu 9711')).status).not.toBe(0);
    });

    it('carries VLANs', async () => {
      for (const [guest, host] of [
        [one, 1],
        [other, 2],
      ] as const) {
        await output('modprobe 8021q && ip link add link eth0 name eth0.7 type vlan id 7', guest);
        await output(`ip addr add 10.7.0.${host}/24 dev eth0.7 && ip link set eth0.7 up`, guest);
      }
      await pings('10.7.0.2');
      await output('ip link del eth0.7');
      await output('ip link del eth0.7', other);
      await pings();
    });

    it('is asked everything ethtool asks, tests itself, and takes other rings', async () => {
      for (const option of ['-S', '-d', '-i', '-k', '-g', '-c']) await output(`ethtool ${option} eth0`);
      expect(await output('ethtool -t eth0 offline')).toContain('The test result is PASS');
      await carrierIs(true);
      for (const [rx, tx] of [
        [4096, 4096],
        [64, 64],
        [512, 1024],
      ]) {
        await output(`ethtool -G eth0 rx ${rx} tx ${tx}`);
        await carrierIs(true);
        await pings();
      }
      await output('ethtool -C eth0 rx-usecs 100');
      await output('ethtool -K eth0 tso off tx off rx off');
      await pings();
      await output('ethtool -K eth0 tso on tx on rx on');
      await output('ethtool --set-priv-flags eth0 legacy-rx on');
      await carrierIs(true);
      await pings();
      await output('ethtool --set-priv-flags eth0 legacy-rx off');
      await carrierIs(true);
    });

    it('changes its address', async () => {
      await output(`ip link set eth0 address ${MAC.changed}`);
      await pings();
      expect(await output('ip neigh show 10.0.0.1', other)).toContain(MAC.changed);
      await output(`ip link set eth0 address ${MAC.one}`);
      await pings();
    });

    it('receives what is for others only while it is promiscuous', async () => {
      expect(await receives(NOBODY)).toBeLessThan(STRAY);
      await output('ip link set eth0 promisc on');
      expect(await receives(NOBODY)).toBeGreaterThanOrEqual(50);
      await output('ip link set eth0 promisc off');
      expect(await receives(NOBODY)).toBeLessThan(STRAY);
    });

    it('receives the groups that it has joined', async () => {
      expect(await receives(GROUP)).toBeLessThan(STRAY);
      const multicast = await counter('multicast');
      await output(`ip maddr add ${GROUP} dev eth0`);
      expect(await receives(GROUP)).toBeGreaterThanOrEqual(50);
      expect(await counter('multicast')).toBeGreaterThanOrEqual(multicast + 50);
      await output(`ip maddr del ${GROUP} dev eth0`);
      expect(await receives(GROUP)).toBeLessThan(STRAY);
      await output('ip link set eth0 allmulticast on');
      expect(await receives(GROUP)).toBeGreaterThanOrEqual(50);
      await output('ip link set eth0 allmulticast off');
    });

    it('sees the cable pulled and plugged in, without a reset', async () => {
      const resets = await counter('tx_timeout_count');
      await cable.close();
      await carrierIs(false);
      plugIn();
      await carrierIs(true);
      await pings();
      // counts every reset that the driver's own service asked for
      expect(await counter('tx_timeout_count')).toBe(resets);
    });

    it('had nothing to complain of', async () => {
      for (const guest of [one, other]) {
        expect(await kernelTrouble(guest.shell)).toEqual([]);
        expect(guest.vm.info().vfs[0]!.dmaFaults).toEqual({ reads: 0, writes: 0 });
      }
    });

    it('is reset by the host: its link is disabled and enabled', async () => {
      const ups = await linkUps();
      one.nic.setVfLink(0, 'disable');
      await carrierIs(false);
      one.nic.setVfLink(0, 'auto');
      await carrierIs(true);
      await pings();
      expect(await linkUps()).toBeGreaterThan(ups);
      expect(await kernelTrouble(one.shell)).toEqual([]);
    });
  },
);
