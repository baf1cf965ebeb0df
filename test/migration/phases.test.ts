import { describe, expect, it } from 'vitest';
import {
  IllegalPhaseError,
  PHASES,
  type Phase,
  PhaseMachine,
  type PhaseName,
} from '../../src/migration/phases.js';

const names = Object.keys(PHASES) as PhaseName[];

/** A phase value of a name, whatever its fields. */
const phase = (name: PhaseName): Phase => ({ phase: name, round: 1 }) as unknown as Phase;

describe('phases', () => {
  it('go the whole way', () => {
    const seen: PhaseName[] = [];
    const machine = new PhaseMachine((now) => seen.push(now.phase));
    const way: PhaseName[] = [
      'pre-migration',
      'reservation',
      'pre-copy',
      'pre-copy',
      'stop-and-copy',
      'commitment',
      'activation',
      'done',
    ];
    for (const name of way) machine.to(phase(name));
    expect(seen).toEqual(way);
  });

  it('refuse every hop that is not in the table, naming both', () => {
    for (const from of names) {
      for (const to of names) {
        const machine = new PhaseMachine();
        for (const step of pathTo(from)) machine.to(phase(step));
        if (PHASES[from].next.includes(to)) {
          machine.to(phase(to));
          continue;
        }
        expect(() => machine.to(phase(to))).toThrow(IllegalPhaseError);
        expect(() => machine.to(phase(to))).toThrow(`"${from}" to "${to}"`);
        expect(machine.now.phase).toBe(from);
      }
    }
  });

  it('name a recovery for each failure, and none that resumes the source once it is committed', () => {
    for (const from of names.filter((name) => PHASES[name].next.includes('failed'))) {
      const machine = new PhaseMachine();
      for (const step of pathTo(from)) machine.to(phase(step));
      const committed = machine.isCommitted;
      const recovery = machine.fail(new Error('x'));
      expect(machine.now).toMatchObject({ phase: 'failed', during: from, recovery });
      expect(committed).toBe(from === 'commitment' || from === 'activation');
      if (committed) expect(['stay-stopped', 'destination-owns']).toContain(recovery);
      else expect(['nothing-to-undo', 'close-stream', 'stop-tracking', 'resume-vm']).toContain(recovery);
    }
  });

  it('cannot be cancelled after commitment', () => {
    expect(PHASES.commitment.next).not.toContain('cancelled');
    expect(PHASES.activation.next).not.toContain('cancelled');
  });
});

/** Steps from the start to a phase, by the table alone. */
function pathTo(wanted: PhaseName): PhaseName[] {
  const paths: PhaseName[][] = [[]];
  const seen = new Set<PhaseName>(['none']);
  for (const path of paths) {
    const at = path.at(-1) ?? 'none';
    if (at === wanted) return path;
    for (const next of PHASES[at].next) {
      if (seen.has(next)) continue;
      seen.add(next);
      paths.push([...path, next]);
    }
  }
  throw new Error(`no way to ${wanted}`);
}
