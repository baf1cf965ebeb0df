/**
 * A real ping from the host's own network stack: TAP device -> socat -> UDP frames -> switch -> VF -> udp-echo, and on
 * through a live migration. Runs in a network namespace of its own; skipped with a sentence where that cannot be.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

const NAMESPACE = `srvm-${process.pid}`;
const here = dirname(fileURLToPath(import.meta.url));

function missing(): string | null {
  if (process.platform !== 'linux') return 'TAP devices are Linux only';
  if (process.getuid?.() !== 0) return 'a network namespace needs root';
  if (!existsSync('/dev/net/tun')) return 'there is no /dev/net/tun';
  for (const tool of ['ip', 'socat', 'ping']) {
    if (spawnSync('which', [tool]).status !== 0)
      return `'${tool}' is not installed (Debian: iproute2, socat, iputils-ping)`;
  }
  const made = spawnSync('ip', ['netns', 'add', NAMESPACE]);
  if (made.status !== 0) return `no network namespace can be made: ${made.stderr.toString().trim()}`;
  return null;
}

const reason = missing();
if (reason !== null) process.stderr.write(`skipped: ping through a TAP device: ${reason}\n`);

beforeAll(() => {
  if (reason === null) spawnSync('ip', ['netns', 'exec', NAMESPACE, 'ip', 'link', 'set', 'lo', 'up']);
});
afterAll(() => {
  if (reason === null) spawnSync('ip', ['netns', 'del', NAMESPACE]);
});

test.skipIf(reason !== null)('ping through a TAP device goes on through a migration', () => {
  const run = spawnSync('ip', ['netns', 'exec', NAMESPACE, process.execPath, join(here, 'tap-inside.js')], {
    encoding: 'utf8',
    timeout: 150_000,
  });
  expect(run.status, run.stderr).toBe(0);
  const result = JSON.parse(run.stdout.trim().split('\n').at(-1)!) as {
    sent: number;
    received: number;
    duplicates: number;
    migrated: boolean;
    answeredAfter: number;
  };
  expect(result.migrated).toBe(true);
  expect(result.sent).toBeGreaterThan(50);
  expect(result.duplicates).toBe(0);
  // a ping is lost only while neither side has the guest; most must come back
  expect(result.received).toBeGreaterThan(result.sent * 0.8);
  expect(result.answeredAfter).toBe(5);
});
