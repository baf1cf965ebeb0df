/** A file is nobody's VM before its last frame is there: whatever frame the disk refuses, the guest goes on. */
import { expect, it } from 'vitest';
import type { Channel } from '../../src/migration/channel.js';
import { ChannelError } from '../../src/migration/errors.js';
import { DEFAULT_PARAMETERS } from '../../src/migration/parameters.js';
import { SourceMigration } from '../../src/migration/source.js';
import { LocalSourceStream, STREAM_COUNTERS } from '../../src/migration/source-stream.js';
import { FRAME, type FrameType } from '../../src/migration/stream/frame.js';
import { clock, FakeDevice, FakeSourceVm } from './fake-vm.js';

const RAM_BYTES = 16 * 1024 * 1024;
const TYPE_AT = 9;

/** A file on a disk that is full when the first frame of this type comes. */
const fullAt = (type: FrameType): Channel => ({
  send: async (bytes) => {
    if (bytes[TYPE_AT] === type)
      throw new ChannelError('cannot write saved: ENOSPC: no space left on device');
  },
  receive: () => {},
  close: async () => {},
});

it.each(['hello', 'pages', 'round', 'vmState', 'deviceState', 'end', 'commit'] as const)(
  'the disk is full at the frame "%s"',
  async (name) => {
    const vm = new FakeSourceVm(RAM_BYTES);
    const map = new Uint8Array(RAM_BYTES / 4096);
    const counters = new Float64Array(STREAM_COUNTERS);
    new Uint8Array(vm.memory.buffer)[0] = 1;
    const source = new SourceMigration({
      vm,
      device: new FakeDevice(RAM_BYTES),
      stream: () =>
        new LocalSourceStream({
          open: async () => fullAt(FRAME[name]),
          memory: vm.memory,
          ramBytes: RAM_BYTES,
          map,
          counters,
          clock,
          backed: null,
        }),
      map,
      counters,
      clock,
      parameters: DEFAULT_PARAMETERS,
      oneWay: true,
    });
    const report = await source.run();
    expect(report).toMatchObject({ outcome: 'failed', error: expect.stringContaining('ENOSPC') });
    expect(vm.isRunning).toBe(true);
    expect(vm.build).toBe('plain');
    expect(vm.retired).toBeNull();
  },
);
