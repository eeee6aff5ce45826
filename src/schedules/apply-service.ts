/**
 * Schedules as one document: what is missing is created, what differs is changed, what is the same is left, and with
 * `prune` what has its label and is not in the document is deleted. One transaction: all of it or nothing, whatever is
 * killed. A dry run does the same and takes it back.
 *
 * The rows of all schedules concerned are locked first, in the order of their ids, and new names are taken in the order of
 * names, so two documents that are applied at once wait for each other and never for ever.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Tx } from '../db/client.ts';
import {
  findIds,
  findSchedules,
  listLivingIds,
  lockSchedules,
  type StoredSchedule,
} from '../db/schedule-store.ts';
import { conflict, DomainError, type Issue, invalid, invalidAll } from '../errors.ts';
import { createBreath } from './breath.ts';
import { createSchedule, removeSchedule, replaceSchedule } from './commands.ts';
import { createDefinitionChecks } from './definition-checks.ts';
import { settled } from './hold.ts';
import { hasLabels, labelsOf, type Selector } from './pauses.ts';
import { anyone, type Caller } from './precondition.ts';
import type { ScheduleSpec } from './schedule.ts';
import { lacksLabel, namedTwice, pruneTooMany } from './schedule-refusals.ts';
import type { ScheduleServiceParts } from './schedule-service.ts';

export const applyMax = 1_000;

export type ApplyAction = 'created' | 'updated' | 'unchanged' | 'pruned';

export type Applied = {
  /** Null for one that a dry run would create. */
  id: string | null;
  name: string;
  action: ApplyAction;
  /** After it; of what is pruned, the last one. */
  version: number;
  before: ScheduleSpec | null;
  after: ScheduleSpec | null;
};

export type Document = {
  specs: readonly ScheduleSpec[];
  /** A label; what has it and is not in the document goes. */
  prune: string | null;
  dryRun: boolean;
};

export interface ApplyService {
  /**
   * As the document has them, then what is pruned. DomainError `invalid` or `conflict` with everything that is wrong,
   * each with a pointer below `/schedules/{index}`. Schedules that have ended are neither pruned nor brought back.
   */
  apply(document: Document, caller?: Caller): Promise<Applied[]>;
  /** Schedules that have not ended and have these labels (none: all), by name. DomainError `invalid` beyond `applyMax`. */
  export(selector: Selector): Promise<ScheduleSpec[]>;
}

/** A name was taken or given up since it was looked for: look again. */
class NamesMoved extends Error {}
/** What a dry run is taken back with. */
class TakenBack extends Error {}

const triesMax = 10;

export function createApplyService(parts: ScheduleServiceParts): ApplyService {
  const { db, clock, onChange } = parts;
  const checks = createDefinitionChecks(parts);

  async function attempt(tx: Tx, { specs, prune }: Document, actor: string): Promise<Applied[]> {
    const selector = prune === null ? null : [prune];
    const names = new Map(specs.map((spec, index) => [spec.name, index]));
    const held = await lockAll(tx, [...names.keys()], selector);
    const byName = new Map(held.map((schedule) => [schedule.spec.name, schedule]));
    const results: Applied[] = [];
    const wrong = createFindings();
    const breath = createBreath(clock);
    const touched: string[] = [];

    for (const name of [...names.keys()].sort()) {
      await breath.take();
      const index = names.get(name)!;
      const spec = specs[index]!;
      const found = byName.get(name);
      await wrong.of(index, async () => {
        if (found === undefined) {
          const created = await createSchedule(tx, checks, { spec, nowMs: clock.now(), actor });
          if (created === 'name_taken') throw new NamesMoved();
          results[index] = { id: created.id, name, action: 'created', version: 1, before: null, after: spec };
          return;
        }
        const { id, version } = found;
        const plain = { id, name, version, before: found.spec, after: spec };
        results[index] = { ...plain, action: 'unchanged' };
        if (isDeepStrictEqual(found.spec, spec)) return;
        const { schedule, deed } = await settled(tx, parts, found, actor);
        await replaceSchedule(tx, checks, schedule, spec, { action: 'applied' }, deed);
        touched.push(id);
        results[index] = { ...plain, action: 'updated' };
      });
    }
    wrong.throwAny();

    const gone = selector === null ? [] : held.filter((each) => isPruned(each, selector, names));
    if (gone.length > applyMax) throw pruneTooMany(selector![0]!, applyMax);
    for (const found of gone) {
      await breath.take();
      const { schedule, deed } = await settled(tx, parts, found, actor);
      await removeSchedule(tx, schedule, deed, 'not in the document that was applied');
      const { id, spec, version } = schedule;
      results.push({
        id,
        name: spec.name,
        action: 'pruned',
        version: version + 1,
        before: spec,
        after: null,
      });
    }
    const versions = new Map((await findSchedules(tx, touched)).map(({ id, version }) => [id, version]));
    return results.map((each) => ({ ...each, version: versions.get(each.id ?? '') ?? each.version }));
  }

  async function lockAll(
    tx: Tx,
    names: readonly string[],
    selector: Selector | null,
  ): Promise<StoredSchedule[]> {
    const ids = await findIds(tx, names);
    // More than those of the document and as many as may go need not be looked at to be refused.
    const limit = names.length + applyMax + 1;
    if (selector !== null) ids.push(...(await listLivingIds(tx, labelsOf(selector), limit)));
    return await lockSchedules(tx, [...new Set(ids)]);
  }

  return {
    async apply(document, { actor } = anyone) {
      checkDocument(document);
      for (let tries = 1; ; tries += 1) {
        let applied: Applied[] = [];
        try {
          await db.transaction(async (tx) => {
            applied = await attempt(tx, document, actor);
            if (document.dryRun) throw new TakenBack();
          });
          onChange();
          return applied;
        } catch (error) {
          if (error instanceof TakenBack) {
            return applied.map((each) => (each.action === 'created' ? { ...each, id: null } : each));
          }
          if (!(error instanceof NamesMoved)) throw error;
          if (tries === triesMax)
            throw conflict('Others keep creating schedules of these names. Apply it again.');
        }
      }
    },

    async export(selector) {
      const ids = await listLivingIds(db, labelsOf(selector), applyMax + 1);
      if (ids.length > applyMax) {
        throw invalid(
          '?label',
          `More than ${applyMax} schedules match, which is more than an apply takes. Narrow it with \`label\`.`,
        );
      }
      const specs = (await findSchedules(db, ids)).map(({ spec }) => spec);
      return specs.sort((a, b) => (a.name < b.name ? -1 : 1));
    },
  };
}

function isPruned(
  { spec, status }: StoredSchedule,
  selector: Selector,
  names: ReadonlyMap<string, number>,
): boolean {
  return (
    !names.has(spec.name) && hasLabels(spec.labels, selector) && (status === 'active' || status === 'paused')
  );
}

/** What the document's own words tell. */
function checkDocument({ specs, prune }: Document): void {
  const issues: Issue[] = [];
  const first = new Map<string, number>();
  for (const [index, { name, labels }] of specs.entries()) {
    const other = first.get(name);
    if (other !== undefined) issues.push(namedTwice(index, name, other));
    else first.set(name, index);
    if (prune !== null && !hasLabels(labels, [prune])) issues.push(lacksLabel(index, name, prune));
  }
  if (issues.length > 0) throw invalidAll(issues);
}

/** Gathers what is wrong with each schedule of the document. */
function createFindings() {
  const issues: Issue[] = [];
  let conflicts = 0;
  return {
    async of(index: number, act: () => Promise<void>): Promise<void> {
      try {
        await act();
      } catch (error) {
        if (!(error instanceof DomainError)) throw error;
        const { code, message } = error;
        if (code === 'conflict') conflicts += 1;
        const told = error.issues.length > 0 ? error.issues : [{ pointer: '', detail: message }];
        issues.push(...told.map((each) => ({ ...each, pointer: `/schedules/${index}${each.pointer}` })));
      }
    },
    throwAny(): void {
      if (issues.length === 0) return;
      // By their place in the document, not by name, in which order they were found.
      issues.sort((a, b) => placeOf(a) - placeOf(b));
      if (conflicts === 0) throw invalidAll(issues);
      throw conflict(issues.map(({ detail }) => detail).join(' '), issues);
    },
  };
}

function placeOf({ pointer }: Issue): number {
  return Number(pointer.split('/')[2]);
}
