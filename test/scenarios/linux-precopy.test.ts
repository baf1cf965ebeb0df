/**
 * What a person does to an interface while its guest is being copied: driver loaded again, interface down and up, jumbo
 * frames, a VLAN. The copy is slow enough that it happens in pre-copy; afterwards the partner fetches what the guest serves.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isImageBuilt, NOT_BUILT } from './linux-guests.js';
import { LinuxTraveller, TRAVELLER_IP } from './linux-traveller.js';

const LIMIT_MS = 240_000;
const MODES = ['shadow-doorbell', 'scan'] as const;
/** Of some 80 MiB that hold something: pre-copy takes seconds. */
const SLOW_BYTES_PER_S = 12 * 2 ** 20;
const ADDRESS = `ip addr add ${TRAVELLER_IP}/24 dev eth0; ip link set eth0 up`;

describe.skipIf(!isImageBuilt)(
  isImageBuilt ? 'a Linux guest whose interface is worked on in pre-copy' : NOT_BUILT,
  () => {
    let guest: LinuxTraveller;

    beforeAll(async () => {
      guest = await LinuxTraveller.boot({ ports: ['--mtu', '9000'] });
      await guest.ask('ip link set eth0 mtu 9000');
    }, LIMIT_MS);

    afterAll(async () => {
      await guest?.close();
    });

    /** Moves the guest, which is told `line` when pre-copy begins. */
    async function moveWhile(mode: (typeof MODES)[number], line: string): Promise<void> {
      let typed: Promise<unknown> | null = null;
      await guest.move(mode, {
        maxBandwidth: SLOW_BYTES_PER_S,
        watcher: {
          onPhase: (phase) => {
            if (phase === 'pre-copy') typed ??= guest.typeIn(line);
          },
        },
      });
      expect(typed).not.toBeNull();
      await typed;
    }

    it.each(MODES)(
      'the driver is unloaded and loaded again, by %s',
      async (mode) => {
        await moveWhile(
          mode,
          `modprobe -r ixgbevf; modprobe ixgbevf; ${ADDRESS}; echo ${mode} >/tmp/www/reloaded`,
        );
        expect(await guest.fetchWhenThere('reloaded')).toContain(mode);
      },
      LIMIT_MS,
    );

    it.each(MODES)(
      'the interface goes down and up, again and again, by %s',
      async (mode) => {
        const line = `for i in $(seq 5); do ip link set eth0 down; ip link set eth0 up; usleep 200000; done; echo ${mode} >/tmp/www/ups`;
        await moveWhile(mode, line);
        expect(await guest.fetchWhenThere('ups')).toContain(mode);
      },
      LIMIT_MS,
    );

    it.each(MODES)(
      'it carries jumbo frames on a VLAN, by %s',
      async (mode) => {
        const vlan = (last: number) =>
          `modprobe 8021q; ip link set eth0 mtu 9000; ip link add link eth0 name eth0.7 type vlan id 7; ip addr add 10.7.0.${last}/24 dev eth0.7; ip link set eth0.7 up; true`;
        await guest.typeIn(`${vlan(2)}; echo ${mode} >/tmp/www/vlan`);
        await guest.ask(vlan(1));
        expect(await guest.fetchWhenThere('vlan')).toContain(mode);
        await guest.fetchWhenThere('kmsg', '10.7.0.2');
        const ended = await guest.partner.shell.start('iperf3 -c 10.7.0.2 -t 10');
        await guest.move(mode);
        const { status, output } = await ended(120_000);
        expect(status, output).toBe(0);
        expect(await guest.ask('ping -c 3 -s 8000 -W 5 10.7.0.2')).toContain(' 0% packet loss');
      },
      LIMIT_MS,
    );

    it('and its kernel has nothing to complain of', async () => {
      expect(await guest.kernelTrouble()).toEqual([]);
    });
  },
);
