/**
 * What is done to an interface while its guest is being copied: driver loaded again, interface down and up, cable pulled and
 * plugged in, another MTU, jumbo frames, a VLAN. The copy is slow enough that it happens in pre-copy; afterwards the partner
 * fetches what the guest serves.
 *
 * SRVM_SOAK=1: many round trips with jumbo frames and VLANs; cables pulled at both ends; cable and MTU in both modes.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sleep } from '../../src/cli/lab.js';
import { LinuxFlow } from './linux-flow.js';
import { isImageBuilt, NOT_BUILT } from './linux-guests.js';
import { LinuxTraveller, TRAVELLER_IP } from './linux-traveller.js';
import { until } from './shuttle.js';

const SOAK = process.env['SRVM_SOAK'] === '1';
const LIMIT_MS = SOAK ? 1_200_000 : 240_000;
const JUMBO_HOPS = SOAK ? 10 : 2;
const MODES = ['shadow-doorbell', 'scan'] as const;
/** Of some 80 MiB that hold something: pre-copy takes seconds. */
const SLOW_BYTES_PER_S = 12 * 2 ** 20;
/** How long a cable is out: well within a pre-copy at that rate. */
const AWAY_MS = 1500;
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

    /** Moves the guest; `action` begins when pre-copy does. */
    async function moveWhile(mode: (typeof MODES)[number], action: () => Promise<unknown>): Promise<void> {
      let acted: Promise<unknown> | null = null;
      await guest.move(mode, {
        maxBandwidth: SLOW_BYTES_PER_S,
        watcher: {
          onPhase: (phase) => {
            if (phase === 'pre-copy') acted ??= action();
          },
        },
      });
      expect(acted).not.toBeNull();
      await acted;
    }

    /** The traveller's interface says so in its log once more than before. */
    async function linkUpAgain(ups: number): Promise<void> {
      await until('the link is up again', async () => (await guest.linkUps()) > ups, LIMIT_MS);
    }

    it.each(MODES)(
      'the driver is unloaded and loaded again, by %s',
      async (mode) => {
        const line = `modprobe -r ixgbevf; modprobe ixgbevf; ${ADDRESS}; echo done >/tmp/www/reloaded-${mode}`;
        await moveWhile(mode, () => guest.typeIn(line));
        expect(await guest.fetchWhenThere(`reloaded-${mode}`)).toContain('done');
      },
      LIMIT_MS,
    );

    it.each(MODES)(
      'the interface goes down and up, again and again, by %s',
      async (mode) => {
        const line = `for i in $(seq 5); do ip link set eth0 down; ip link set eth0 up; usleep 200000; done; echo done >/tmp/www/ups-${mode}`;
        await moveWhile(mode, () => guest.typeIn(line));
        expect(await guest.fetchWhenThere(`ups-${mode}`)).toContain('done');
      },
      LIMIT_MS,
    );

    it.each(SOAK ? MODES : MODES.slice(0, 1))(
      'its cable is pulled and plugged in again, by %s',
      async (mode) => {
        const flow = await LinuxFlow.start(guest, TRAVELLER_IP);
        const ups = await guest.linkUps();
        const { cable } = guest;
        await moveWhile(mode, async () => {
          await cable.pull();
          await sleep(AWAY_MS);
          cable.plugIn();
        });
        await linkUpAgain(ups);
        await flow.goesOn();
        await flow.end();
      },
      LIMIT_MS,
    );

    it.runIf(SOAK).each(MODES)(
      'its cable is pulled, and it arrives where none is plugged in yet, by %s',
      async (mode) => {
        const flow = await LinuxFlow.start(guest, TRAVELLER_IP);
        const ups = await guest.linkUps();
        const { cable, cableThere } = guest;
        await cableThere.pull();
        await moveWhile(mode, () => cable.pull());
        await sleep(AWAY_MS);
        cableThere.plugIn();
        await linkUpAgain(ups);
        await flow.goesOn();
        await flow.end();
        cable.plugIn();
      },
      LIMIT_MS,
    );

    it.each(SOAK ? MODES : MODES.slice(0, 1))(
      'its MTU goes to 9000, back and to 9000 again under TCP, by %s',
      async (mode) => {
        const flow = await LinuxFlow.start(guest, TRAVELLER_IP);
        const line = `for mtu in 9000 1500 9000; do ip link set eth0 mtu $mtu; sleep 1; done; echo done >/tmp/www/mtu-${mode}`;
        await moveWhile(mode, () => guest.typeIn(line));
        expect(await guest.fetchWhenThere(`mtu-${mode}`)).toContain('done');
        await flow.goesOn();
        await flow.end();
        expect(await guest.ask(`ping -c 3 -s 8000 -W 5 ${TRAVELLER_IP}`)).toContain(' 0% packet loss');
      },
      LIMIT_MS,
    );

    it.each(MODES)(
      'it carries jumbo frames on a VLAN, by %s',
      async (mode) => {
        const vlan = (last: number) =>
          `modprobe 8021q; ip link set eth0 mtu 9000; ip link add link eth0 name eth0.7 type vlan id 7; ip addr add 10.7.0.${last}/24 dev eth0.7; ip link set eth0.7 up; true`;
        await guest.typeIn(`${vlan(2)}; echo done >/tmp/www/vlan-${mode}`);
        await guest.ask(vlan(1));
        expect(await guest.fetchWhenThere(`vlan-${mode}`)).toContain('done');
        await guest.fetchWhenThere('kmsg', '10.7.0.2');
        const flow = await LinuxFlow.start(guest, '10.7.0.2');
        for (let hop = 0; hop < JUMBO_HOPS; hop++) {
          await guest.move(mode);
          await flow.goesOn();
        }
        await flow.end();
        expect(await guest.ask('ping -c 3 -s 8000 -W 5 10.7.0.2')).toContain(' 0% packet loss');
      },
      LIMIT_MS,
    );

    it('and its kernel has nothing to complain of', async () => {
      expect(await guest.kernelTrouble()).toEqual([]);
    });
  },
);
