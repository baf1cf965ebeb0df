/** A destination that fails while its link takes nothing: it ends all the same, and gives its place back. */
import { expect, it } from 'vitest';
import { createPair } from './pair.js';

for (const call of ['reserve', 'restoreVmState']) {
  it(`a destination that fails in ${call} does not wait for a link that hangs`, async () => {
    let hangs = false;
    const { source, destination, host, vm } = await createPair({
      wrapDestination: (channel) => ({
        receive: (sink) => channel.receive(sink),
        send: (bytes) => (hangs ? new Promise(() => {}) : channel.send(bytes)),
        close: () => channel.close(),
      }),
    });
    host.hook = (now) => {
      if (now !== call) return;
      hangs = true;
      throw new Error(`no ${call} today`);
    };
    const [report, error] = await Promise.all([
      source.run(),
      destination.run().then(
        () => null,
        (thrown: Error) => thrown,
      ),
    ]);
    expect(error?.message).toContain(`no ${call} today`);
    expect(destination.phase).toBe('failed');
    expect(host.vm?.isDestroyed ?? true).toBe(true);
    expect(report.outcome).toBe('failed');
    expect(vm.isRunning).toBe(true);
  });
}
