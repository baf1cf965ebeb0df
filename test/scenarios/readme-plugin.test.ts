/** The README's example plugin, taken from the README, migrates a guest under traffic. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Lab } from '../../src/cli/lab.js';
import { PACKAGE_ROOT } from '../../src/control/package-root.js';
import { EchoProbe } from '../../src/measure/load/echo-probe.js';
import { migrateAndWait } from './migrations.js';
import { repliesGoOn } from './shuttle.js';

/** A folder as a plugin's author has it: the module, its package.json, srvm among its packages. */
function pluginFolder(): string {
  const readme = readFileSync(join(PACKAGE_ROOT, 'README.md'), 'utf8');
  const source = /```js\n(import \{ definePlugin[\s\S]*?)```/.exec(readme)![1]!;
  const folder = mkdtempSync(join(tmpdir(), 'srvm-readme-plugin-'));
  writeFileSync(join(folder, 'index.js'), source);
  writeFileSync(
    join(folder, 'package.json'),
    JSON.stringify({ name: 'mine', type: 'module', main: 'index.js' }),
  );
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(PACKAGE_ROOT, join(folder, 'node_modules/srvm'));
  return folder;
}

test("the README's plugin catches every DMA-written page", async () => {
  const plugin = pluginFolder();
  const lab = Lab.create();
  try {
    const vf = `mac=52:54:00:00:00:01,wire=${lab.port('p0')}`;
    const dirtyBits = ['--iommu', 'dirty-bits=on'];
    const source = await lab.vmm('readme-a', ['run', 'guest-images/udp-echo', ...dirtyBits, '--vf', vf]);
    const uri = `unix:${lab.folder}/m.sock`;
    const target = ['receive', '--listen', uri, '--plugin', plugin, '--vf', `wire=${lab.port('p1')}`];
    const destination = await lab.vmm('readme-b', target);
    const probe = new EchoProbe({
      peer: lab.peer('52:54:00:00:00:fe', '10.0.0.1'),
      targetIp: '10.0.0.2',
      rateHz: 1000,
    });
    probe.start();
    await repliesGoOn(probe, 200);
    const report = await migrateAndWait(source.qmp, uri, { plugin, slowFirstRound: true });
    expect(report.error).toBeNull();
    expect(report.verdict?.pagesDiffering).toBe(0);
    expect(report.dmaCoverage?.pagesWritten).toBeGreaterThan(0);
    expect(report.dmaCoverage?.pagesMissed).toBe(0);
    expect(report.tracker?.counters['pagesCollected']).toBeGreaterThan(0);
    await repliesGoOn(probe, 200);
    expect(probe.report()).toMatchObject({ corrupt: 0, duplicates: 0 });
    expect(await destination.qmp.execute('query-status')).toMatchObject({ running: true });
  } finally {
    await lab.close();
    rmSync(plugin, { recursive: true });
  }
});
