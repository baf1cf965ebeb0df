/**
 * Debian with its stock ixgbevf moves between two VMM processes while it is in use, and back. Its partner, another Linux
 * guest on the same switch, sees TCP go on, files arrive whole, and nothing in the traveller's kernel log.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isImageBuilt, NOT_BUILT } from './linux-guests.js';
import { LinuxTraveller, PARTNER_IP, TRAVELLER_IP } from './linux-traveller.js';

const BLOB_MB = 16;
const LIMIT_MS = 240_000;

describe.skipIf(!isImageBuilt)(isImageBuilt ? 'a Linux guest that moves' : NOT_BUILT, () => {
  let guest: LinuxTraveller;

  beforeAll(async () => {
    guest = await LinuxTraveller.boot();
  }, LIMIT_MS);

  afterAll(async () => {
    await guest?.close();
  });

  it.each(['shadow-doorbell', 'scan'] as const)(
    'while TCP comes in and goes out, by %s',
    async (mode) => {
      for (const direction of ['', '-R']) {
        const ended = await guest.partner.shell.start(`iperf3 -c ${TRAVELLER_IP} -t 8 ${direction}`);
        await guest.move(mode);
        const { status, output } = await ended(120_000);
        expect(status, output).toBe(0);
      }
    },
    LIMIT_MS,
  );

  it(
    'while it fetches a file and dirties memory',
    async () => {
      await guest.ask(`dd if=/dev/urandom of=/tmp/www/blob bs=1M count=${BLOB_MB}`);
      const sum = /[0-9a-f]{32}/.exec(await guest.ask('md5sum /tmp/www/blob'))![0];
      await guest.typeIn('while :; do dd if=/dev/zero of=/tmp/scratch bs=64k count=64 2>/dev/null; done &');
      await guest.typeIn(
        `wget -q -O - http://${PARTNER_IP}/blob | md5sum >/tmp/sum; mv /tmp/sum /tmp/www/sum`,
      );
      await guest.move('shadow-doorbell');
      expect(await guest.fetchWhenThere('sum')).toContain(sum);
      await guest.typeIn('kill %1');
    },
    LIMIT_MS,
  );

  it(
    'and stays where it is when that is called off',
    async () => {
      await guest.callOff('shadow-doorbell');
      await guest.callOff('scan');
      await guest.fetchWhenThere('kmsg');
    },
    LIMIT_MS,
  );

  it('and its kernel noticed nothing', async () => {
    expect(await guest.kernelTrouble()).toEqual([]);
    expect(await guest.linkUps()).toBe(1);
  });
});
