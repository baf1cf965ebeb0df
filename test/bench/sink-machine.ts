/** A VM with packet-sink whose NIC's own thread generates its traffic: what line-rate benchmarks stand on. */
import type { LoadedImage } from '../../src/guest/loaded-image.js';
import { GeneratorControl } from '../../src/hardware/wire/generator-wire.js';
import { Nic } from '../../src/hypervisor/nic.js';
import { VirtualMachine } from '../../src/hypervisor/vm.js';

const MAC = '52:54:00:00:00:01';
const WARM_UP_MS = 700;

export interface SinkMachine {
  readonly generator: GeneratorControl;
  readonly nic: Nic;
  readonly vm: VirtualMachine;
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Resolves when the guest is up and warm under its traffic. */
export async function startSink(
  image: LoadedImage,
  frameBytes: number,
  framesPerS: number,
): Promise<SinkMachine> {
  const generator = new GeneratorControl({
    sourceMac: '52:54:00:00:00:99',
    targetMac: MAC,
    sourceIp: '10.0.0.99',
    targetIp: '10.0.0.2',
    frameBytes,
    flows: 16,
  });
  const nic = await Nic.open({ wire: generator.wire, linkSpeedMbps: 0 });
  const vm = await VirtualMachine.create({
    name: 'sink',
    image,
    commandLine: 'ip=10.0.0.2',
    vfs: [{ nic, assignment: { mac: MAC } }],
  });
  const up = new Promise<void>((resolve) => {
    vm.subscribe((event) => {
      if (event.kind === 'console' && event.line.includes('is up')) resolve();
    });
  });
  vm.start();
  await up;
  generator.setRate(framesPerS);
  await pause(WARM_UP_MS);
  return { generator, nic, vm };
}

export async function stopSink({ generator, nic, vm }: SinkMachine): Promise<void> {
  generator.setRate(0);
  await vm.destroy();
  await nic.close();
}
