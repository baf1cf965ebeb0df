/** A vCPU's thread that is loaded before there is a guest for it. */
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { discardVcpuThread, prepareVcpuThread } from '../../src/hypervisor/vcpu-threads.js';
import { VirtualMachine } from '../../src/hypervisor/vm.js';
import { listThreads } from '../../src/measure/threads.js';
import { testImage } from '../machine/test-guest.js';
import { until } from './lab.js';

const tidsOf = (wanted: string): number[] =>
  listThreads()
    .filter(({ name }) => name === wanted)
    .map(({ tid }) => tid);

async function spareTid(): Promise<number> {
  prepareVcpuThread();
  prepareVcpuThread();
  await until('a spare thread', () => tidsOf('srvm spare').length > 0);
  expect(tidsOf('srvm spare')).toHaveLength(1);
  return tidsOf('srvm spare')[0]!;
}

// compiled here, once: on a machine with much else to do that takes longer than a test has
beforeAll(async () => void (await testImage()), 240_000);

describe.runIf(process.platform === 'linux')('a spare vCPU thread', () => {
  afterEach(discardVcpuThread);

  it("becomes the next VM's, and ends with it", async () => {
    const tid = await spareTid();
    const vm = await VirtualMachine.create({ name: 'x', image: await testImage(), commandLine: 'g' });
    expect(tidsOf('srvm spare')).toEqual([]);
    expect(tidsOf('srvm vcpu')).toEqual([tid]);
    await discardVcpuThread();
    vm.start();
    await until('the end', () => vm.state.kind === 'halted');
    await vm.destroy();
    await until('its end', () => tidsOf('srvm vcpu').length === 0);
  });

  it('ends when no guest comes', async () => {
    await spareTid();
    await discardVcpuThread();
    await until('its end', () => tidsOf('srvm spare').length === 0);
  });
});
