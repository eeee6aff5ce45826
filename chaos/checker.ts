/** The invariants of a chaos run, each a pure function from the logs to what is wrong, in words. */
import {
  neverTwo,
  nothingInPauses,
  nothingUndue,
  oneDisposition,
  onTime,
  rightCatchUp,
} from './check-fires.ts';
import { acknowledgedIsThere, processesAreWell } from './check-house.ts';
import {
  backoffIsKept,
  cancelIsHeeded,
  checkpointsHold,
  endsAreFinal,
  hitsAreRecorded,
  noLimbo,
  noOverlap,
  oldAttemptsAreFenced,
  successWasSeen,
} from './check-runs.ts';
import type { Evidence, Rules } from './evidence.ts';

export type Invariant = {
  number: number;
  promise: string;
  check(evidence: Evidence, rules: Rules): string[];
};

export const invariants: readonly Invariant[] = [
  { number: 1, promise: 'an acknowledged change is there', check: acknowledgedIsThere },
  { number: 2, promise: 'each due time has exactly one disposition', check: oneDisposition },
  { number: 3, promise: 'no fire for a time that was not due', check: nothingUndue },
  { number: 4, promise: 'never two runs for one nominal time', check: neverTwo },
  { number: 5, promise: 'what succeeded was seen by the witness', check: successWasSeen },
  { number: 6, promise: 'no start before its time, none late', check: onTime },
  { number: 7, promise: 'no more hits than recorded attempts', check: hitsAreRecorded },
  { number: 8, promise: 'no hit of a step after its checkpoint', check: checkpointsHold },
  { number: 9, promise: 'an end does not change', check: endsAreFinal },
  { number: 10, promise: 'no write of an old attempt counts', check: oldAttemptsAreFenced },
  { number: 11, promise: 'no overlap but with `allow`', check: noOverlap },
  { number: 12, promise: 'nothing in limbo at the end', check: noLimbo },
  { number: 13, promise: 'backoff as the policy says', check: backoffIsKept },
  { number: 14, promise: 'no fire inside a pause', check: nothingInPauses },
  { number: 15, promise: 'catch-up counts as the policy says', check: rightCatchUp },
  { number: 16, promise: 'a cancelled run begins nothing 5 s later', check: cancelIsHeeded },
  { number: 17, promise: 'no process ends, cries or grows by itself', check: processesAreWell },
];

export type Finding = { invariant: Invariant; faults: string[] };

export function checkAll(evidence: Evidence, rules: Rules): Finding[] {
  return invariants.map((invariant) => ({ invariant, faults: invariant.check(evidence, rules) }));
}
