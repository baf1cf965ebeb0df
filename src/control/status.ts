/** What a VMM tells of itself, in QMP's terms and in its own. */
import type { VmStateKind } from '../hypervisor/vm-state.js';
import { listThreads } from '../measure/threads.js';
import type { Vmm } from './vmm.js';

/** QEMU's run state for each of ours. */
const RUN_STATE: Readonly<Record<VmStateKind, string>> = {
  created: 'prelaunch',
  incoming: 'inmigrate',
  running: 'running',
  paused: 'paused',
  halted: 'shutdown',
  trapped: 'guest-panicked',
  destroyed: 'shutdown',
};

/** query-status. */
export function queryStatus(vmm: Vmm, retiredAs: string | null): { status: string; running: boolean } {
  const kind = vmm.vm?.state.kind ?? 'incoming';
  const status = retiredAs ?? RUN_STATE[kind];
  return { status, running: kind === 'running' };
}

/** query-pci, what the guest sees of it: one bus, the host bridge, the VFs, the paravirtual NICs. */
export function queryPci(vmm: Vmm): object[] {
  const device = (slot: number, vendor: number, id: number, classCode: number, desc: string) => ({
    bus: 0,
    slot,
    function: 0,
    class_info: { class: classCode, desc },
    id: { vendor, device: id },
    qdev_id: slot === 0 ? '' : `vf${slot - 1}`,
    regions:
      slot === 0
        ? []
        : [
            { bar: 0, type: 'memory', address: -1, size: 16384, prefetch: false, mem_type_64: true },
            { bar: 3, type: 'memory', address: -1, size: 16384, prefetch: false, mem_type_64: true },
          ],
  });
  const info = vmm.vm?.info();
  const vfs = info?.vfs.filter(({ plugged }) => plugged) ?? [];
  const nets = info?.nets.filter(({ plugged }) => plugged) ?? [];
  return [
    {
      bus: 0,
      devices: [
        device(0, 0x8086, 0x1237, 0x0600, 'Host bridge'),
        ...vfs.map(({ slot }) => device(slot, 0x8086, 0x10ed, 0x0200, 'Ethernet controller')),
        ...nets.map(({ slot }) => device(slot, 0x1af4, 0x1041, 0x0200, 'Ethernet controller')),
      ],
    },
  ];
}

/** x-srvm-query-vm. */
export function queryVm(vmm: Vmm, retiredAs: string | null): object {
  return {
    name: vmm.name,
    pid: process.pid,
    'uptime-ms': Date.now() - vmm.startedAtMs,
    'rss-bytes': process.memoryUsage.rss(),
    ...queryStatus(vmm, retiredAs),
    vm: vmm.vm === null || vmm.vm.state.kind === 'destroyed' ? null : vmm.vm.info(),
    wires: [...vmm.nics].map(([wire, nic]) => ({
      wire,
      link: nic.linkUp ? 'up' : 'down',
      'free-vfs': nic.freeVfs,
    })),
  };
}

/** x-srvm-query-stats: what each core has done. */
export async function queryStats(vmm: Vmm): Promise<object> {
  const nics = [];
  for (const [wire, nic] of vmm.nics) nics.push({ spec: wire, ...(await nic.stats()) });
  const info = vmm.vm === null || vmm.vm.state.kind === 'destroyed' ? null : vmm.vm.info();
  const domains = [];
  for (const [wire, domain] of vmm.domains) domains.push({ spec: wire, ...(await domain.stats()) });
  const vfs = (vmm.vm?.vfs ?? []).map((passed) => ({ vf: passed.vf, ...passed.view.statistics.read() }));
  return {
    nics,
    vfs,
    'driver-domains': domains,
    nets: info?.nets ?? [],
    'sv-nics': await vmm.vifs.stats(),
    vcpu: info && { 'cpu-ns': info.vcpuCpuNs, waits: info.waits, build: info.build, exits: info.exits },
    threads: listThreads(),
    'rss-bytes': process.memoryUsage.rss(),
  };
}
