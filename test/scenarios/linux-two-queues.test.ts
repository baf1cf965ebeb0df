/**
 * The stock driver with two receive queues: the port has two traffic classes, and a VLAN's frames carry a priority of the
 * second. Both queues are busy while the guest moves, by either tracker.
 *
 *   partner: iperf3, no tag               -> queue 0 \
 *   partner: iperf3, VLAN 7 of priority 5 -> queue 1 -> the guest, which is on its way
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isImageBuilt, NOT_BUILT } from './linux-guests.js';
import { LinuxTraveller, TRAVELLER_IP } from './linux-traveller.js';

const LIMIT_MS = 240_000;
const VLAN = { id: 7, priority: 5, partner: '10.7.0.1', traveller: '10.7.0.2', port: 5202 };
const FLOW_S = 8;
/** Full-sized packets are at least this many a second, however busy the machine is. */
const BUSY_PACKETS = 500;

/** A device for VLAN 7; what is sent through it carries the priority. */
const vlanOn = (address: string): string =>
  `modprobe 8021q; ip link add link eth0 name eth0.${VLAN.id} type vlan id ${VLAN.id} egress-qos-map 0:${VLAN.priority}; ip addr add ${address}/24 dev eth0.${VLAN.id}; ip link set eth0.${VLAN.id} up; true`;

describe.skipIf(!isImageBuilt)(isImageBuilt ? 'a Linux guest with two queues' : NOT_BUILT, () => {
  let guest: LinuxTraveller;
  let looks = 0;

  /** What each queue has received, as `ethtool -S` says. */
  async function received(): Promise<readonly [number, number]> {
    const file = `queues-${++looks}`;
    await guest.typeIn(`ethtool -S eth0 >/tmp/${file}; mv /tmp/${file} /tmp/www/${file}`);
    const text = await guest.fetchWhenThere(file);
    const of = (queue: number) => Number(new RegExp(`rx_queue_${queue}_packets: (\\d+)`).exec(text)?.[1]);
    return [of(0), of(1)];
  }

  beforeAll(async () => {
    guest = await LinuxTraveller.boot({ trafficClasses: 2 });
    await guest.typeIn(
      `${vlanOn(VLAN.traveller)}; iperf3 -s -D -p ${VLAN.port} --rcv-timeout 86400000; echo up >/tmp/www/vlan`,
    );
    await guest.ask(vlanOn(VLAN.partner));
    await guest.fetchWhenThere('vlan');
    await guest.fetchWhenThere('vlan', VLAN.traveller);
  }, LIMIT_MS);

  afterAll(async () => {
    await guest?.close();
  });

  it(
    'receives in the queue of the class',
    async () => {
      const before = await received();
      await guest.ask(`ping -c 20 -i 0.05 ${VLAN.traveller}`);
      const tagged = await received();
      expect(tagged[1] - before[1]).toBeGreaterThanOrEqual(20);
      await guest.ask(`ping -c 20 -i 0.05 ${TRAVELLER_IP}`);
      const plain = await received();
      expect(plain[0] - tagged[0]).toBeGreaterThanOrEqual(20);
      expect(plain[1] - tagged[1]).toBeLessThan(5);
    },
    LIMIT_MS,
  );

  it.each(['shadow-doorbell', 'scan'] as const)(
    'moves while both are busy, by %s',
    async (mode) => {
      const before = await received();
      const ended = await guest.partner.shell.start(
        `(iperf3 -c ${VLAN.traveller} -p ${VLAN.port} -t ${FLOW_S} >/tmp/tagged) & iperf3 -c ${TRAVELLER_IP} -t ${FLOW_S} && wait $!`,
      );
      await guest.move(mode);
      const { status, output } = await ended(LIMIT_MS);
      expect(status, output).toBe(0);
      expect(await guest.ask('cat /tmp/tagged')).toContain('receiver');
      const after = await received();
      expect(after[0] - before[0]).toBeGreaterThan(BUSY_PACKETS);
      expect(after[1] - before[1]).toBeGreaterThan(BUSY_PACKETS);
    },
    LIMIT_MS,
  );

  it('and its kernel noticed nothing', async () => {
    expect(await guest.kernelTrouble()).toEqual([]);
  });
});
