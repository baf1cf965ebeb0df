/** `srvm info VM`: what it is and how it does. */
import type { Command } from 'commander';
import type { VmInfo } from '../hypervisor/vm-info.js';
import { formatBytes, formatMs, printJson, printTable, vmCommand } from './output.js';

interface VmReply {
  readonly name: string;
  readonly pid: number;
  readonly status: string;
  readonly 'uptime-ms': number;
  readonly 'rss-bytes': number;
  readonly vm: VmInfo | null;
  readonly wires: readonly { wire: string; link: string; 'free-vfs': number }[];
}

export const infoCommand = (): Command =>
  vmCommand('info', 'show a VM', 'srvm info a', async (client, { json }) => {
    const reply = await client.execute<VmReply>('x-srvm-query-vm');
    if (json) {
      printJson(reply);
      return;
    }
    const { vm } = reply;
    printTable(
      ['', ''],
      [
        ['name', reply.name],
        ['status', reply.status],
        [
          'process',
          `${reply.pid}, up ${formatMs(reply['uptime-ms'])}, ${formatBytes(reply['rss-bytes'])} resident`,
        ],
        ...(vm === null
          ? []
          : [
              ['image', `${vm.image} (${vm.imageKey.slice(0, 12)})`],
              ['memory', formatBytes(vm.ramBytes)],
              [
                'vCPU',
                `${vm.build} build, ${vm.vcpuCpuNs === null ? '?' : formatMs(vm.vcpuCpuNs / 1e6)} of CPU time`,
              ],
              ...vm.vfs.map((vf) => [
                `VF ${vf.vf}`,
                `slot ${vf.slot}, ${vf.mac}, link ${vf.linkUp ? 'up' : 'down'}, ` +
                  `DMA faults ${vf.dmaFaults.reads + vf.dmaFaults.writes}`,
              ]),
            ]),
        ...reply.wires.map((wire) => ['wire', `${wire.wire}, link ${wire.link}`]),
      ],
    );
  });
