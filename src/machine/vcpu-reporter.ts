/**
 * What a vCPU tells the main thread, and leaves in the control page for whoever looks there: its state, how it ended.
 * Shared by the vCPU that has a thread and by those that run in slices.
 */
import type { Clock } from '../hardware/clock.js';
import { ConsoleLines } from './console-lines.js';
import { COMMAND_KIND_MASK, COMMAND_NUMBER_SHIFT, CTRL, VCPU_COMMAND, VCPU_STATE } from './layout.js';
import { trapReportOf } from './trap-report.js';
import type { VcpuEvent } from './vcpu-events.js';

/** The sending side of a MessagePort. */
export interface VcpuPort {
  postMessage(event: VcpuEvent): void;
}

/** What stands in the control page's command word. */
export type StandingOrder =
  | { readonly kind: 'run' }
  /** Until `command` no longer stands in the command word. */
  | { readonly kind: 'pause'; readonly command: number }
  | { readonly kind: 'stop' };

/** What to do now, outside the guest. An order to switch builds is done by entering the guest again. */
export function standingOrder(control: Int32Array): StandingOrder {
  for (;;) {
    const command = Atomics.load(control, CTRL.command);
    switch (command & COMMAND_KIND_MASK) {
      case VCPU_COMMAND.pause:
        return { kind: 'pause', command };
      case VCPU_COMMAND.stop:
        return { kind: 'stop' };
      case VCPU_COMMAND.none:
        return { kind: 'run' };
      default:
        // entering the guest again picks the build; a pause that came meanwhile stays
        Atomics.compareExchange(control, CTRL.command, command, VCPU_COMMAND.none);
    }
  }
}

export class VcpuReporter {
  readonly console: ConsoleLines;
  readonly #control: Int32Array;
  readonly #port: VcpuPort;
  readonly #clock: Clock;

  constructor(control: Int32Array, port: VcpuPort, clock: Clock) {
    this.#control = control;
    this.#port = port;
    this.#clock = clock;
    this.console = new ConsoleLines((line) => port.postMessage({ kind: 'console', line }));
  }

  prepared(): void {
    this.#port.postMessage({ kind: 'prepared' });
  }

  /** The guest goes on in that build. */
  entered(build: number): void {
    if (Atomics.exchange(this.#control, CTRL.activeBuild, build) === build) return;
    this.#port.postMessage({ kind: 'build', build });
  }

  running(): void {
    if (Atomics.exchange(this.#control, CTRL.state, VCPU_STATE.running) === VCPU_STATE.running) return;
    this.#port.postMessage({ kind: 'running', atNs: this.#clock.nowNs() });
  }

  /** @param command the order that is answered, as it stands in the command word. */
  paused(command: number): void {
    Atomics.store(this.#control, CTRL.state, VCPU_STATE.paused);
    const order = command >>> COMMAND_NUMBER_SHIFT;
    this.#port.postMessage({ kind: 'paused', order, atNs: this.#clock.nowNs() });
  }

  halted(exitCode: number): void {
    this.console.flush();
    Atomics.store(this.#control, CTRL.exitCode, exitCode | 0);
    Atomics.store(this.#control, CTRL.state, VCPU_STATE.halted);
    this.#port.postMessage({ kind: 'halted', exitCode, atNs: this.#clock.nowNs() });
  }

  trapped(error: unknown): void {
    this.console.flush();
    Atomics.store(this.#control, CTRL.state, VCPU_STATE.trapped);
    this.#port.postMessage({ kind: 'trapped', report: trapReportOf(error), atNs: this.#clock.nowNs() });
  }

  stopped(): void {
    this.console.flush();
    this.#port.postMessage({ kind: 'stopped' });
  }
}
