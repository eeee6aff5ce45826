/** The names of a run's steps: they tell them apart, so each is used once. */
import { JobError } from './job.ts';

const stepsMax = 1_000;
const nameLengthMax = 128;

/** Takes a name. JobError `InvalidStep`, not retryable, for one that is none, that is taken, or that is one too many. */
export function createStepNames(): (name: string) => void {
  const used = new Set<string>();
  return (name) => {
    const wrong = fault(used, name);
    if (wrong !== null) throw new JobError('InvalidStep', wrong, { retryable: false });
    used.add(name);
  };
}

function fault(used: ReadonlySet<string>, name: string): string | null {
  if (typeof name !== 'string' || name === '' || name.length > nameLengthMax || name !== name.trim())
    return `A step needs a name of 1 to ${nameLengthMax} characters.`;
  if (used.has(name)) return `There are two steps "${name}"; the name is what tells them apart.`;
  return used.size >= stepsMax ? `A run may have ${stepsMax} steps.` : null;
}
