/**
 * A guest that traps stops its VM with a report; the VMM process goes on and answers, and the traffic of a neighbour is
 * not its business. The image is any component of the world: compiled here, never seen by srvm before.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Lab } from '../../src/cli/lab.js';
import { componentOf } from '../guest/component.js';
import { compileAssemblyScript } from '../guest/packet-loops.js';
import { until } from './shuttle.js';

const SOURCE = `
@external("srvm:guest/machine@0.1.0", "wait-for-interrupt") declare function wait(timeoutUs: u32): u32;

function fallInto(depth: u32): u32 {
  if (depth == 0) return load<u32>(0xfffffff0);
  return fallInto(depth - 1) + 1;
}

export function run(): u32 {
  wait(300000);
  return fallInto(3);
}
`;

let lab: Lab;
beforeAll(() => {
  lab = Lab.create();
});
afterAll(() => lab?.close());

test('a guest that reads beyond its memory stops, with a report; its VMM does not', async () => {
  const folder = join(lab.folder, 'faller');
  mkdirSync(folder);
  const component = join(folder, 'faller.wasm');
  writeFileSync(component, await componentOf(await compileAssemblyScript(SOURCE)));
  const { qmp, child, log } = await lab.vmm(`trap-${process.pid}`, ['run', component, '--vf', 'wire=null']);
  const status = async () => (await qmp.execute<{ status: string }>('query-status')).status;
  await until('the guest has trapped', async () => (await status()) === 'guest-panicked');

  expect(log()).toMatch(/trapped: .*(out of bounds|memory)/);
  const { vm } = await qmp.execute<{
    vm: { state: { kind: string; report: { message: string; stack: string[] } } };
  }>('x-srvm-query-vm');
  expect(vm.state.kind).toBe('trapped');
  expect(vm.state.report.message).toMatch(/out of bounds|memory/);
  expect(vm.state.report.stack.length).toBeGreaterThan(0);
  await expect(qmp.execute('migrate', { uri: `unix:${lab.folder}/nowhere` })).rejects.toThrow(/trapped/);
  expect(child.exitCode).toBeNull();
});
