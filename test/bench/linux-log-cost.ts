/**
 * What the dirty log costs a Linux guest: instructions a second of its vCPU's CPU time, in a program that writes without end,
 * with the log off and with it on and harvested as often as pre-copy does.
 */
import { sleep } from '../../src/cli/lab.js';
import type { VirtualMachine } from '../../src/hypervisor/vm.js';
import { rv64LayoutFor } from '../../src/rv64/cpu/layout.js';
import { INSTRET } from '../../src/rv64/cpu/wasm/offsets.js';
import { bootLocal } from '../scenarios/linux-guests.js';
import { copyingProgram, typedProgram } from './linux-programs.js';

const RUNS = 5;
const SAMPLE_MS = 800;
/** A round of an idle guest's pre-copy takes about this long. */
const HARVEST_EVERY_MS = 100;

/** Each: how many times slower with the log. */
export async function logSlowdowns(): Promise<number[]> {
  const guest = await bootLocal('null', '52:54:00:00:00:01', 'nomodules=1', 128);
  try {
    for (const line of typedProgram(copyingProgram(), '/tmp/copy')) await guest.shell.run(line);
    await guest.shell.run('(/tmp/copy &)');
    const { vm } = guest;
    const log = vm.openDirtyLog();
    const pages = new Uint8Array(vm.layout.ramPages);
    const slowdowns: number[] = [];
    await instructionsPerNs(vm, async () => {});
    for (let run = 0; run < RUNS; run++) {
      // before and after: what else the machine does comes and goes
      const before = await instructionsPerNs(vm, async () => {});
      await vm.setDirtyLogging(true);
      const logged = await instructionsPerNs(vm, async () => void log.harvest(pages));
      await vm.setDirtyLogging(false);
      const after = await instructionsPerNs(vm, async () => {});
      slowdowns.push((before + after) / 2 / logged);
    }
    return slowdowns;
  } finally {
    await guest.close();
  }
}

async function instructionsPerNs(vm: VirtualMachine, harvest: () => Promise<void>): Promise<number> {
  const { cpuOffset } = rv64LayoutFor(vm.layout.ramBytes);
  const retired = new BigUint64Array(vm.memory.buffer, cpuOffset + INSTRET, 1);
  const [fromCount, fromNs] = [Number(retired[0]), vm.vcpuCpuNs ?? 0];
  for (let at = 0; at < SAMPLE_MS; at += HARVEST_EVERY_MS) {
    await sleep(HARVEST_EVERY_MS);
    await harvest();
  }
  return (Number(retired[0]) - fromCount) / ((vm.vcpuCpuNs ?? Number.NaN) - fromNs);
}
