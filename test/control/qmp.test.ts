import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { QmpClient, QmpConnectError } from '../../src/control/qmp-client.js';
import { LineSplitter, QmpError } from '../../src/control/qmp-protocol.js';
import { QmpServer } from '../../src/control/qmp-server.js';

let folder: string;
let server: QmpServer;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'srvm-qmp-'));
  server = new QmpServer(
    join(folder, 'a.qmp'),
    new Map<string, (args: Record<string, unknown>) => unknown>([
      ['query-status', () => ({ status: 'running', running: true })],
      [
        'fail',
        () => {
          throw new QmpError('DeviceNotFound', 'no such device');
        },
      ],
      ['echo', (args) => args],
    ]),
    'test',
  );
  await server.listen();
});
afterEach(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

/** Talks raw lines, as a foreign client would; resolves with the first `count` answers. */
function raw(lines: string[], count: number): Promise<Record<string, unknown>[]> {
  return new Promise((resolve, reject) => {
    const socket = connect(server.path);
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString();
      const answers = text.split('\r\n').filter((line) => line !== '');
      if (answers.length < count) return;
      socket.destroy();
      resolve(answers.map((line) => JSON.parse(line)));
    });
    socket.on('error', reject);
    socket.write(lines.join('\n') + '\n');
  });
}

test('greeting, negotiation, id, errors: the wire form', async () => {
  const answers = await raw(
    [
      '{"execute":"query-status"}',
      '{"execute":"qmp_capabilities","id":1}',
      '{"execute":"query-status","id":"x"}',
      '{"execute":"nope"}',
      'not json',
      '{"execute":"fail","id":7}',
      '{"execute":"echo","arguments":[]}',
      '{"execute":"echo","argument":{}}',
    ],
    9,
  );
  expect(answers[0]).toHaveProperty('QMP.version.qemu.major');
  expect(answers[0]).toHaveProperty('QMP.capabilities', []);
  expect(answers[1]).toMatchObject({ error: { class: 'CommandNotFound' } });
  expect(answers[2]).toEqual({ return: {}, id: 1 });
  expect(answers[3]).toEqual({ return: { status: 'running', running: true }, id: 'x' });
  expect(answers[4]).toMatchObject({
    error: { class: 'CommandNotFound', desc: 'The command nope has not been found' },
  });
  expect(answers[5]).toMatchObject({ error: { class: 'GenericError' } });
  expect(answers[6]).toEqual({ error: { class: 'DeviceNotFound', desc: 'no such device' }, id: 7 });
  expect(answers[7]).toMatchObject({ error: { class: 'GenericError' } });
  expect(answers[8]).toMatchObject({ error: { desc: "QMP input member 'argument' is unexpected" } });
});

test('the client matches replies to calls and sees events in order', async () => {
  const client = await QmpClient.connect(server.path);
  const seen: string[] = [];
  client.onEvent = (event) => {
    expect(event.timestamp.microseconds).toBeLessThan(1_000_000);
    seen.push(event.event);
  };
  const replies = await Promise.all([1, 2, 3].map((n) => client.execute('echo', { n })));
  expect(replies).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
  server.emit('STOP');
  server.emit('RESUME', { why: 'test' });
  await client.execute('query-status');
  expect(seen).toEqual(['STOP', 'RESUME']);
  await expect(client.execute('fail')).rejects.toThrow('no such device');
  client.close();
});

test('nobody at the socket is one clear error', async () => {
  await expect(QmpClient.connect(join(folder, 'gone.qmp'))).rejects.toThrow(QmpConnectError);
});

test('an endless line closes the connection', async () => {
  const socket = connect(server.path);
  const closed = new Promise((resolve) => socket.on('close', resolve));
  socket.on('error', () => {});
  for (let i = 0; i < 5; i++) socket.write(Buffer.alloc(256 * 1024, 0x61));
  await closed;
});

test('lines come out whole however the bytes were cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.stringMatching(/^[a-z]{1,20}$/), { maxLength: 10 }),
      fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1 }),
      (lines, cuts) => {
        const bytes = Buffer.from(lines.map((line) => line + '\n').join(''));
        const splitter = new LineSplitter(64);
        const out: string[] = [];
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const size = cuts[i % cuts.length]!;
          out.push(...splitter.push(bytes.subarray(at, at + size))!);
          at += size;
        }
        expect(out).toEqual(lines);
      },
    ),
  );
});
