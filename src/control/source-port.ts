/** A running VirtualMachine as the migration engine's source wants it. */
import type { VirtualMachine } from '../hypervisor/vm.js';
import { SharedDirtyMap } from '../machine/dirty-map.js';
import type { GroundTruth, SourceVm } from '../migration/ports.js';
import { vifsOf } from './device-of.js';
import { encodeMachine } from './offered-machine.js';
import { encodePlain } from './plain-cbor.js';

/** The card whose VFs are passed through; both ends must have the same. */
export const NIC_MODEL = 'intel-82599-vf';

export function sourcePort(
  vm: VirtualMachine,
  retire: (outcome: 'postmigrate' | 'outcome-unknown') => void,
): SourceVm {
  const dirtyLog = vm.openDirtyLog();
  return {
    memory: vm.memory,
    ramBytes: vm.layout.ramBytes,
    offer: {
      vmName: vm.name,
      imageName: vm.image.name,
      imageKey: vm.image.key,
      ramBytes: vm.layout.ramBytes,
      nicModel: vm.vfs.length > 0 ? NIC_MODEL : null,
      vfCount: vm.vfs.length,
      machine: encodeMachine({ netCount: vm.nets.length, vifCount: vifsOf(vm).length }),
    },
    get isRunning() {
      return vm.state.kind === 'running';
    },
    pause: () => vm.pause(),
    resume: async () => vm.resume(),
    useBuild: (build) => vm.setDirtyLogging(build === 'logging'),
    harvestCpuDirty: (into) => dirtyLog.harvest(into),
    setThrottle: (percent) => vm.setThrottle(percent),
    saveVmState: async () => encodePlain(vm.saveVmState()),
    groundTruth: groundTruthOf(vm),
    retire,
  };
}

/** What was recorded of all VFs and paravirtual NICs together; null without any. */
function groundTruthOf(vm: VirtualMachine): GroundTruth | null {
  const maps = vm.groundTruth.map((truth) => new SharedDirtyMap(truth, 0, vm.layout.ramPages));
  if (maps.length === 0) return null;
  return {
    drain: (into) => maps.reduce((pages, map) => pages + map.harvest(into), 0),
  };
}
