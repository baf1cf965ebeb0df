/**
 * Every other image goes back and forth under its own traffic, in both modes of SRVM: the store with a client that knows
 * what must be in it, the sink and the source with numbered and checksummed frames, the dirtier that verifies each page
 * before it writes it again, the idle one. SRVM_SOAK=1 makes it a hundred hops each.
 */
import { afterEach, expect, test } from 'vitest';
import { seededRandom } from '../../src/hardware/clock.js';
import { BulkReceiver } from '../../src/measure/load/bulk-receiver.js';
import { BulkSender } from '../../src/measure/load/bulk-sender.js';
import { EchoProbe } from '../../src/measure/load/echo-probe.js';
import { KvClient } from '../../src/measure/load/kv-client.js';
import { expectClean } from './expect-clean.js';
import { COUNTER, GUEST_IP, repliesGoOn, Shuttle, until } from './shuttle.js';

const HOPS = process.env['SRVM_SOAK'] ? 100 : 1;
const MODES = ['scan', 'shadow-doorbell'] as const;

/** A guest's own traffic. */
interface Traffic {
  /** Resolves when it has gone on for a while. */
  goesOn(): Promise<void>;
  /** Ends it and judges all that was seen. */
  judge(): Promise<void>;
}

interface Case {
  readonly image: string;
  readonly memory: string;
  readonly append: string;
  begin(shuttle: Shuttle): Traffic;
}

const CASES: readonly Case[] = [
  { image: 'kv-store', memory: '64M', append: 'store=16M fill=0 scrub=1000', begin: storeTraffic },
  { image: 'packet-sink', memory: '16M', append: '', begin: sinkTraffic },
  {
    image: 'packet-source',
    memory: '16M',
    append: 'peer=10.0.0.1 rate=10000 size=600',
    begin: sourceTraffic,
  },
  { image: 'page-dirtier', memory: '32M', append: 'rate=2000 ws=4M', begin: dirtierTraffic },
  { image: 'idle', memory: '16M', append: '', begin: idleTraffic },
];

let shuttle: Shuttle | null = null;
afterEach(async () => {
  await shuttle?.close();
  shuttle = null;
});

test.each(CASES)(
  '$image',
  async ({ image, memory, append, begin }) => {
    const open = await Shuttle.open({ image: `guest-images/${image}`, memory, append });
    shuttle = open;
    const traffic = begin(open);
    await traffic.goesOn();
    const before = await open.guestCounters();
    for (const mode of MODES) {
      for (let hop = 0; hop < HOPS; hop++) {
        expectClean(await open.hop({ mode }));
        await traffic.goesOn();
      }
    }
    await traffic.judge();
    const after = await open.guestCounters();
    for (const index of [COUNTER.opens, COUNTER.reloads, COUNTER.hangs]) {
      expect(after[index], `counter ${index}`).toBe(before[index]);
    }
    for (const index of [COUNTER.vfRxPackets, COUNTER.vfTxPackets, COUNTER.clockNs]) {
      expect(after[index]! > before[index]!, `counter ${index}`).toBe(true);
    }
  },
  150_000 + HOPS * 20_000,
);

function storeTraffic({ station }: Shuttle): Traffic {
  const client = new KvClient({
    peer: station,
    random: seededRandom(1),
    targetIp: GUEST_IP,
    keys: 4000,
    maxValueBytes: 1200,
    rateHz: 10_000,
  });
  client.start();
  return {
    async goesOn() {
      await until('the store is filled', () => client.phase === 'mixed');
      const { hits } = client.counters;
      await until('the store answers', () => client.counters.hits > hits + 200);
    },
    async judge() {
      client.verifyAll();
      await until('every value has been read back', () => client.phase === 'idle');
      const { corrupt, checksumErrors, serverErrors, malformed, lost, duplicates } = client.report();
      expect({ corrupt, checksumErrors, serverErrors, malformed, lost, duplicates }).toEqual({
        corrupt: 0,
        checksumErrors: 0,
        serverErrors: 0,
        malformed: 0,
        lost: 0,
        duplicates: 0,
      });
    },
  };
}

function sinkTraffic(open: Shuttle): Traffic {
  const sender = new BulkSender({
    peer: open.station,
    targetIp: GUEST_IP,
    frameBytes: 1000,
    rateFps: 20_000,
    flows: 4,
  });
  sender.start();
  const count = async (index: number) => (await open.guestCounters())[index]!;
  return {
    async goesOn() {
      const before = await count(COUNTER.received);
      await until('frames arrive', async () => (await count(COUNTER.received)) > before + 500n);
    },
    async judge() {
      sender.stop();
      for (const index of [COUNTER.badChecksum, COUNTER.outOfOrder, COUNTER.duplicates]) {
        expect(await count(index), `counter ${index}`).toBe(0n);
      }
    },
  };
}

function sourceTraffic({ station }: Shuttle): Traffic {
  const receiver = new BulkReceiver({ peer: station });
  receiver.start();
  return {
    async goesOn() {
      const { datagrams } = receiver.report();
      await until('the guest sends', () => receiver.report().datagrams > datagrams + 500);
    },
    async judge() {
      // lost: only what the wire lost while neither side had the guest's port
      expect(receiver.report()).toMatchObject({ corrupt: 0, duplicates: 0, reordered: 0 });
    },
  };
}

const PAGES_WRITTEN = 6;
const PAGE_ERRORS = 7;
const PAGES_VERIFIED = 10;

function dirtierTraffic(open: Shuttle): Traffic {
  const echo = idleTraffic(open);
  const count = async (index: number) => (await open.guestCounters())[index]!;
  return {
    async goesOn() {
      await echo.goesOn();
      const before = await count(PAGES_WRITTEN);
      await until('pages are dirtied', async () => (await count(PAGES_WRITTEN)) > before + 200n);
    },
    async judge() {
      await echo.judge();
      expect(await count(PAGES_VERIFIED)).toBeGreaterThan(0n);
      expect(await count(PAGE_ERRORS)).toBe(0n);
    },
  };
}

function idleTraffic({ station }: Shuttle): Traffic {
  const probe = new EchoProbe({ peer: station, targetIp: GUEST_IP, rateHz: 200 });
  probe.start();
  return {
    goesOn: () => repliesGoOn(probe, 20),
    async judge() {
      probe.stop();
      expect(probe.report()).toMatchObject({ corrupt: 0, duplicates: 0, reordered: 0 });
    },
  };
}
