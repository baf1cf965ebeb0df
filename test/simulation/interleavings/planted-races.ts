/**
 * Races that the code could have, or had, as edits of the compiled code: what an exploration must find. Nothing in the code
 * itself knows of them.
 */
import type { PlantedEdit } from '../planted/planted-faults.js';
import type { SceneOptions } from './scene.js';

export interface PlantedRace {
  readonly name: string;
  readonly scene: SceneOptions;
  readonly edits: readonly PlantedEdit[];
  /** Said of it, among other things. */
  readonly complaint: RegExp;
  /** The seed that found it when this was written; it is tried first. */
  readonly foundBy: number;
  /** Hunted in every run of the tests: one for each thing that is looked at. */
  readonly isAlwaysHunted?: true;
}

const DEVICE: SceneOptions = { server: 'device', cores: 2, guests: 2, frames: 20, deeds: [] };
const DOMAIN: SceneOptions = { server: 'domain', cores: 1, guests: 2, frames: 20, deeds: [] };
const NOT_WOKEN = /left to send|did not come back|got \d+ of/;
const NET_PORT = 'src/virtio/net-port.js';

export const PLANTED_RACES: readonly PlantedRace[] = [
  {
    name: 'a core gives up a frame when the lock was free at both of its looks (as before 63b7be5)',
    scene: DEVICE,
    edits: [
      {
        file: NET_PORT,
        find: `            if (!this.isReady)
                return false;
            if (tries > 1)`,
        replace: `            if (this.words.get(WORD.lock) === 0) {
                if (this.enter()) return true;
                if (this.words.get(WORD.lock) === 0) return false;
            }
            if (tries > 1)`,
      },
    ],
    complaint: /dropped/,
    foundBy: 40,
    isAlwaysHunted: true,
  },
  {
    name: 'a reset does not wait for the turn that is under way',
    scene: { ...DEVICE, deeds: ['reset'] },
    edits: [
      {
        file: 'src/virtio/common-registers.js',
        find: 'device.locked(() => {',
        replace: '(act => act())(() => {',
      },
    ],
    complaint: /written after the device's reset/,
    foundBy: 25,
    isAlwaysHunted: true,
  },
  {
    name: 'bus mastering ends while a turn is under way',
    scene: { ...DEVICE, deeds: ['bus'] },
    edits: [
      {
        file: 'src/virtio/net-function.js',
        find: `            words.locked(write);`,
        replace: `            write();`,
      },
    ],
    complaint: /while the device was off the bus/,
    foundBy: 4,
  },
  {
    name: 'a page that the device wrote is not logged: the used index',
    scene: DEVICE,
    edits: [
      {
        file: 'src/virtio/virtqueue.js',
        find: 'this.#memory.log(this.#used + 2, 2);',
        replace: '',
      },
      { file: 'src/virtio/virtqueue.js', find: 'memory.log(entry, 8);', replace: '' },
    ],
    complaint: /not logged/,
    foundBy: 1,
  },
  {
    name: 'a driver domain drops what comes for a guest that has its own lock',
    scene: { ...DOMAIN, deeds: ['register'] },
    edits: [
      {
        file: NET_PORT,
        find: `        if (!this.enterInTurn())
            return false;
        let delivered`,
        replace: `        if (!this.enter())
            return false;
        let delivered`,
      },
    ],
    complaint: /of \d+ frames|waited for/,
    foundBy: 1,
    isAlwaysHunted: true,
  },
  {
    name: 'a driver domain looks a last time before it says that it wants doorbells',
    scene: DOMAIN,
    edits: [
      {
        file: 'src/virtio/software-switch.js',
        find: 'listen() {',
        replace: 'listen() { this.step = () => { this.step = SoftwareSwitch.prototype.step; return 0; };',
      },
    ],
    complaint: NOT_WOKEN,
    foundBy: 21,
  },
];
