/**
 * Runs the build process for one image and waits for its answer.
 */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { BuildReply, BuildRequest } from './build-image-core.js';
import { GuestImageError } from './guest-image-error.js';

/** The largest image that is allowed takes a few seconds; a build that hangs is ended. */
const BUILD_TIMEOUT_MS = 120_000;

/** Returns the encoded cache entry. */
export function buildInOwnProcess(request: BuildRequest): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(new URL('./build-image-core.js', import.meta.url)), [], {
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      execArgv: [],
      timeout: BUILD_TIMEOUT_MS,
    });
    let reply: BuildReply | null = null;
    let complaint = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      complaint = (complaint + chunk.toString('utf8')).slice(-2000);
    });
    child.once('message', (message) => {
      reply = message as BuildReply;
    });
    child.once('error', (cause) => reject(buildFailed(`its process did not start: ${cause.message}`)));
    child.once('close', (code, signal) => {
      if (reply === null)
        reject(buildFailed(`its process ended early (${signal ?? code}): ${complaint.trim()}`));
      else if (reply.kind === 'built') resolve(reply.entry);
      else reject(new GuestImageError(reply.reason, reply.message));
    });
    child.send(request);
  });
}

function buildFailed(what: string): GuestImageError {
  return new GuestImageError('build-failed', `the image could not be built: ${what}`);
}
