/** Cancelled while the link is being opened: what opens afterwards is closed (found by the simulator, seed 956). */
import { expect, it } from 'vitest';
import type { Channel } from '../../src/migration/channel.js';
import { SourceMigration } from '../../src/migration/source.js';
import { LocalSourceStream, STREAM_COUNTERS } from '../../src/migration/source-stream.js';
import { FRAME } from '../../src/migration/stream/frame.js';
import { clock, FakeSourceVm } from './fake-vm.js';

const RAM_BYTES = 16 * 1024 * 1024;

function createSource(open: () => Promise<Channel>) {
  const vm = new FakeSourceVm(RAM_BYTES);
  const map = new Uint8Array(RAM_BYTES / 4096);
  const counters = new Float64Array(STREAM_COUNTERS);
  const stream = new LocalSourceStream({
    open,
    memory: vm.memory,
    ramBytes: RAM_BYTES,
    map,
    counters,
    clock,
    backed: null,
  });
  const source = new SourceMigration({ vm, device: null, stream: () => stream, map, counters, clock });
  return { source, stream };
}

it('a link that opens after the cancel is closed', async () => {
  const calls: string[] = [];
  const channel: Channel = {
    send: async () => void calls.push('send'),
    receive: () => void calls.push('receive'),
    close: async () => void calls.push('close'),
  };
  let opened = (_: Channel): void => {};
  const { source } = createSource(() => {
    setImmediate(() => source.cancel());
    return new Promise((resolve) => {
      opened = resolve;
    });
  });
  expect(await source.run()).toMatchObject({ outcome: 'cancelled', failedDuring: 'reservation' });
  opened(channel);
  await new Promise((resolve) => setImmediate(resolve));
  expect(calls).toEqual(['close']);
});

it('a record is refused, not thrown, before the link is there', async () => {
  const { stream } = createSource(() => new Promise(() => {}));
  const sent = stream.sendRecord(FRAME.abort, new Uint8Array());
  await expect(sent).rejects.toThrow('not connected');
});
