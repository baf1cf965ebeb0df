/** The simplest guest that a world can have: one Rx ring, polled, everything it knows in its RAM. */
import type { LoadedImage } from '../../../src/guest/loaded-image.js';
import { GuestBusView } from '../../../src/hypervisor/guest-bus-view.js';
import { CTRL, layoutFor } from '../../../src/machine/layout.js';
import { controlWords } from '../../../src/machine/memory.js';
import { standingOrder, VcpuReporter } from '../../../src/machine/vcpu-reporter.js';
import { ENABLE, REG, RX, rxRegister } from '../../../src/plugin/vf82599/registers.js';
import { GuestRam } from '../../../src/simulation/guests/scripted/ram.js';
import type { GuestKind } from '../../../src/simulation/world/guest-kind.js';

const IMAGE: LoadedImage = {
  key: 'plain guest',
  name: 'plain',
  ramBytes: 16 << 20,
  jcoSource: '',
  mainModule: '',
  plainWasm: new Uint8Array(),
  logWasm: new Uint8Array(),
  shimModules: {},
  dataSegments: [],
  initialPages: 256,
  maxPages: 256,
  globalTypes: [],
};

const RING = 0x10_0000;
const BUFFERS = 0x40_0000;
const SLOTS = 64;
const STEP = 0x1000;
const TO_CLEAN = 0x1004;
const RECEIVED = 0x1008;
const NEXT = 0x100c;
const TO_USE = 0x1010;
const DAMAGED = 0x1014;

export const PLAIN_GUEST: GuestKind = {
  image: IMAGE,
  commandLine: '',
  progress: (memory) => new Int32Array(memory.buffer)[RECEIVED >> 2]!,
  complaints: (memory) => {
    const damaged = new Int32Array(memory.buffer)[DAMAGED >> 2]!;
    return damaged === 0 ? [] : [`${damaged} frames were damaged`];
  },
  deeds: () => ({}),
  startVcpu({ scheduler, host, speeds }, boot, events) {
    const layout = layoutFor(boot.image.ramBytes);
    const control = controlWords(boot.memory, layout);
    const { windows } = host;
    const wait = windows.waitOf(() => core);
    const bus = new GuestBusView(boot.slots, control, host.time, wait);
    const ram = new GuestRam(boot.memory, layout);
    const reporter = new VcpuReporter(
      control,
      { postMessage: (event) => host.time.post(event.kind, () => events.onEvent(event)) },
      host.time,
    );
    const read = (offset: number): number => {
      windows.beforeRead(core);
      return bus.barRead(1, 0, offset);
    };
    const write = (offset: number, value: number): void => {
      scheduler.point(core);
      bus.barWrite(1, 0, offset, value >>> 0);
      windows.afterWrite();
    };
    const refill = (count: number): void => {
      let use = ram.load(TO_USE);
      for (let i = 0; i < count; i++) {
        const next = (ram.load(NEXT) + 1) % 512;
        ram.store(NEXT, next);
        const at = RING + use * 16;
        ram.store(at, BUFFERS + next * 2048);
        ram.store(at + 4, 0);
        ram.store(at + 8, 0);
        ram.store(at + 12, 0);
        ram.store(0x2000 + use * 4, BUFFERS + next * 2048);
        use = (use + 1) % SLOTS;
      }
      ram.store(TO_USE, use);
      write(rxRegister(0, RX.RDT), use);
    };
    const bringUp = (step: number): void => {
      if (step === 0) write(REG.VFCTRL, 1 << 26);
      else if (step === 5) {
        bus.pciWrite(1, 4, 6);
        write(REG.VFMBMEM, 1);
        write(REG.VFMAILBOX, 1);
      } else if (step === 60) {
        const q = (offset: number, value: number): void => write(rxRegister(0, offset), value);
        q(RX.RDBAL, RING);
        q(RX.RDBAH, 0);
        q(RX.RDLEN, SLOTS * 16);
        q(RX.RDH, 0);
        q(RX.RDT, 0);
        q(RX.SRRCTL, 2 | (1 << 25));
        q(RX.RXDCTL, ENABLE);
      } else if (step === 70) refill(SLOTS - 1);
    };
    const clean = (): void => {
      let at = ram.load(TO_CLEAN);
      let taken = 0;
      while (taken < 16 && (ram.load(RING + at * 16 + 8) & 1) !== 0) {
        const length = ram.load(RING + at * 16 + 12) & 0xffff;
        const buffer = ram.load(0x2000 + at * 4);
        const mark = ram.loadByte(buffer + 14);
        const isOurs = ram.loadByte(buffer + 12) === 0x88;
        for (let i = 15; isOurs && i < length; i++) {
          if (ram.loadByte(buffer + i) === mark) continue;
          ram.store(DAMAGED, ram.load(DAMAGED) + 1);
          break;
        }
        ram.store(RING + at * 16 + 8, 0);
        at = (at + 1) % SLOTS;
        taken++;
      }
      ram.store(TO_CLEAN, at);
      ram.store(RECEIVED, ram.load(RECEIVED) + taken);
      const room = (at - ram.load(TO_USE) - 1 + SLOTS) % SLOTS;
      if (room >= 16) refill(room);
    };
    const step = () => {
      const order = standingOrder(control);
      if (order.kind === 'stop') {
        reporter.stopped();
        core.kill();
        return { costNs: 100, againNs: null };
      }
      if (order.kind === 'pause') {
        if (paused !== order.command) reporter.paused(order.command);
        paused = order.command;
        return { costNs: 100, againNs: 5_000 };
      }
      paused = -1;
      reporter.running();
      reporter.entered(Atomics.load(control, CTRL.build) & 1);
      const at = ram.load(STEP);
      ram.store(STEP, at + 1);
      if (at <= 70) bringUp(at);
      else clean();
      ram.flushMarks();
      read(REG.VFSTATUS);
      return { costNs: 500, againNs: 3_000 };
    };
    let paused = -1;
    const core = scheduler.core({
      name: 'vcpu',
      host: host.time,
      kind: 'vcpu',
      speed: speeds.vcpu,
      step,
      mayNest: (under) => under.kind !== 'tracker',
    });
    reporter.prepared();
    core.wake();
    return {
      core,
      async terminate() {
        core.kill();
        events.onExit();
      },
    };
  },
};
