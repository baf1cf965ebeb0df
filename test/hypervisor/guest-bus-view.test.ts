/** The bus of a VM against an engine in a thread of its own, whose step is under way whenever the guest does something. */
import { MessageChannel } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { createDomainHandle } from '../../src/hardware/iommu/domain.js';
import { NicEngine } from '../../src/hardware/nic/engine.js';
import { DCTL_ENABLE, queueOf, RX, TX, VF } from '../../src/hardware/nic/offsets.js';
import { ENGINE_THREADED, isQueueActive } from '../../src/hardware/nic/queue-state.js';
import { CONTROL, REGION } from '../../src/hardware/nic/shared.js';
import { PCI } from '../../src/hardware/pci/offsets.js';
import { NullWire } from '../../src/hardware/wire/null-wire.js';
import { createBarMapBuffer } from '../../src/hypervisor/bar-map.js';
import { GuestBusView } from '../../src/hypervisor/guest-bus-view.js';
import { Card } from '../hardware/nic/card.js';
import { CONTROL_PAGE_BYTES } from './bar-map-guest.js';

const SLOT = 1;
const POOL = 3;
const FUNCTION_LEVEL_RESET = 1 << 15;
const MEMORY_BYTES = 1 << 16;

it('a function-level reset is over when the engine has let go of the queues', () => {
  const card = new Card();
  const { shared } = card;
  const engine = new NicEngine({ shared, wire: new NullWire(), msi: card.msi, clock: card.clock });
  Atomics.store(shared.words, REGION.control + CONTROL.engineRunning, ENGINE_THREADED);
  const memory = new SharedArrayBuffer(MEMORY_BYTES);
  const whole = { iovaStart: 0, memoryOffset: 0, bytes: MEMORY_BYTES, writable: true };
  engine.attach(POOL, createDomainHandle(memory, [whole]));
  let steps = 0;
  const bus = new GuestBusView(
    [
      {
        slot: SLOT,
        nic: shared.handle,
        vf: POOL,
        barMap: createBarMapBuffer(),
        routes: [],
        exits: new MessageChannel().port2,
      },
    ],
    new Int32Array(CONTROL_PAGE_BYTES >> 2),
    card.clock,
    // the engine's own thread, which comes to it meanwhile
    () => {
      steps++;
      engine.step();
    },
  );
  const queue = queueOf(POOL, 0);
  const isBusy = (): boolean => isQueueActive(shared, 'rx', queue) || isQueueActive(shared, 'tx', queue);
  for (const [block, control] of [
    [VF.RX, VF.RX + RX.RXDCTL],
    [VF.TX, VF.TX + TX.TXDCTL],
  ] as const) {
    bus.barWrite(SLOT, 0, block + RX.RDLEN, 1024);
    bus.barWrite(SLOT, 0, control, DCTL_ENABLE);
  }
  engine.step();
  expect(isBusy()).toBe(true);
  bus.pciWrite(SLOT, PCI.PCIE_DEVCTL, FUNCTION_LEVEL_RESET);
  expect([isBusy(), steps]).toEqual([false, 1]);
});
