/**
 * The host's own network stack and a Linux guest: iperf3 both ways and a file by HTTP through a TAP device.
 *
 *   iperf3, HTTP server == TAP == socat == UDP frames == switch == VF == ixgbevf == iperf3, wget
 *
 * Runs in a network namespace of its own; skipped with a sentence where that cannot be. SRVM_SOAK=1: 200 MB, longer flows.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isImageBuilt, NOT_BUILT } from './linux-guests.js';

const SOAK = process.env['SRVM_SOAK'] === '1';
const NAMESPACE = `srvm-linux-${process.pid}`;
const LIMIT_MS = SOAK ? 900_000 : 240_000;
const inside = join(dirname(fileURLToPath(import.meta.url)), 'linux-tap-inside.js');

function missing(): string | null {
  if (!isImageBuilt) return NOT_BUILT;
  if (process.platform !== 'linux') return 'TAP devices are Linux only';
  if (process.getuid?.() !== 0) return 'a network namespace needs root';
  if (!existsSync('/dev/net/tun')) return 'there is no /dev/net/tun';
  for (const tool of ['ip', 'socat', 'ping', 'iperf3']) {
    if (spawnSync('which', [tool]).status !== 0)
      return `'${tool}' is not installed (Debian: iproute2, socat, iputils-ping, iperf3)`;
  }
  const made = spawnSync('ip', ['netns', 'add', NAMESPACE]);
  return made.status === 0 ? null : `no network namespace can be made: ${made.stderr.toString().trim()}`;
}

const reason = missing();
if (reason !== null) process.stderr.write(`skipped: iperf3 of the host with a Linux guest: ${reason}\n`);

beforeAll(() => {
  if (reason === null) spawnSync('ip', ['netns', 'exec', NAMESPACE, 'ip', 'link', 'set', 'lo', 'up']);
});
afterAll(() => {
  if (reason === null) spawnSync('ip', ['netns', 'del', NAMESPACE]);
});

test.skipIf(reason !== null)(
  "the host's iperf3 and the guest's, and a file by HTTP",
  () => {
    const run = spawnSync(
      'ip',
      ['netns', 'exec', NAMESPACE, process.execPath, inside, ...(SOAK ? ['10', '200'] : ['2', '8'])],
      { encoding: 'utf8', timeout: LIMIT_MS - 10_000 },
    );
    expect(run.status, run.stderr).toBe(0);
    const line = run.stdout.trim().split('\n').at(-1)!;
    if (SOAK) process.stderr.write(`${line}\n`);
    const result = JSON.parse(line) as Record<string, unknown>;
    expect(result['pinged']).toBe(true);
    for (const flow of ['intoGuestMbps', 'outOfGuestMbps', 'guestAsClientMbps']) {
      for (const mbps of result[flow] as number[]) expect(mbps).toBeGreaterThan(0);
    }
    expect(result['sumReceived']).toBe(result['sumSent']);
    expect(result['trouble']).toEqual([]);
    expect(result['dmaFaults']).toEqual({ reads: 0, writes: 0 });
  },
  LIMIT_MS,
);
