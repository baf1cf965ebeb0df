/**
 * From an address to a channel: the one place that knows all kinds.
 */
import { promises as files } from 'node:fs';
import { type Address, type Channel, formatAddress } from './channel.js';
import type { ListeningChannel } from './destination-stream.js';
import { openFileChannel } from './file-channel.js';
import { connectSocket, listenSocket } from './socket-channel.js';

/** The source's end: connects, or begins a file. */
export function openChannel(address: Address): Promise<Channel> {
  if (address.kind === 'file') return openFileChannel(address.path, 'save');
  return connectSocket(address, formatAddress(address));
}

/** The destination's end: listens for one connection, or opens a saved file. */
export async function listenChannel(address: Address): Promise<ListeningChannel> {
  if (address.kind === 'file') {
    const channel = await openFileChannel(address.path, 'restore');
    return { address: formatAddress(address), accept: async () => channel, close: () => channel.close() };
  }
  const listener = await listenSocket(address);
  return {
    address: formatAddress(listener.address),
    accept: () => listener.accept(),
    async close() {
      await listener.close();
      if (address.kind === 'unix') await files.unlink(address.path).catch(() => {});
    },
  };
}
