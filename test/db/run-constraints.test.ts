/** The tables repeat the rules: each row that breaks one is refused, whoever writes it. */
import { type SQL, sql } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { brokenConstraint } from '../../src/db/client.ts';
import { attemptStatuses, runCauses, runSignals, runStatuses } from '../../src/runs/run-state.ts';
import { catchUpPolicies, overlapPolicies, scheduleStatuses } from '../../src/schedules/schedule.ts';
import { type House, setupHouse } from '../support/house.ts';

let house: House;
let scheduleId: string;
beforeAll(async () => {
  house = await setupHouse();
  scheduleId = (await house.create()).id;
});
afterAll(() => house.close());

const at = '2026-03-01T00:00:00Z';
const worker = '018f3c9e-7b00-7000-9000-000000000001';
let rows = 0;

type Row = Record<string, string | number | null>;

async function insert(table: string, row: Row): Promise<void> {
  const columns = sql.join(
    Object.keys(row).map((name) => sql.identifier(name)),
    sql`, `,
  );
  const values = sql.join(
    Object.values(row).map((value) => sql`${value}`),
    sql`, `,
  );
  await house.db.execute(sql`insert into ${sql.identifier(table)} (${columns}) values (${values})`);
}

/** The constraint that the statement breaks, or null. What it changes is not kept. */
async function broken(work: () => Promise<unknown>): Promise<string | null> {
  try {
    await work();
    return null;
  } catch (error) {
    return brokenConstraint(error) ?? String(error);
  }
}

const base = (): Row & { id: string } => {
  rows += 1;
  return {
    id: `018f3c9e-7b00-7000-8000-${String(rows).padStart(12, '0')}`,
    schedule_id: scheduleId,
    schedule_name: 'x',
    schedule_version: 1,
    job_type: 'noop',
    task_queue: 'default',
    cause: 'schedule',
    scheduled_for: at,
    due_at: at,
    created_at: at,
    attempt: 1,
    failures: 0,
    lost: 0,
    timeout_ms: 1000,
    retry: '{}',
    input: '{}',
  };
};

const error = '{"type": "Broken", "message": ""}';
const whole: Record<string, Row> = {
  queued: {},
  running: { started_at: at, attempt_started_at: at, worker_id: worker },
  retrying: { started_at: at, attempt_started_at: at, next_attempt_at: at, error },
  succeeded: { started_at: at, finished_at: at, worker_id: worker },
  failed: { started_at: at, finished_at: at, worker_id: worker, error },
  timed_out: { started_at: at, finished_at: at, worker_id: worker, error },
  cancelled: { finished_at: at, reason: 'cancelled_by_hand' },
  skipped: { finished_at: at, reason: 'overlap' },
  missed: { finished_at: at, reason: 'not_latest', missed_count: 3, missed_until: at },
};

describe('runs', () => {
  it.each(runStatuses)('take a whole row that is %s', async (status) => {
    expect(await broken(() => insert('runs', { ...base(), status, ...whole[status] }))).toBeNull();
  });

  it.each(runCauses)('take the cause %s', async (cause) => {
    const whose = { backfill_id: cause === 'backfill' ? scheduleId : null };
    expect(await broken(() => insert('runs', { ...base(), status: 'queued', cause, ...whose }))).toBeNull();
  });

  const impossible: [string, string, Row, string][] = [
    ['a backfill that is none', 'queued', { cause: 'backfill' }, 'runs_backfill_check'],
    ['held and running', 'running', { ...whole.running, held: 'true' }, 'runs_held_check'],
    ['a status that is none', 'paused', {}, 'runs_finished_check|runs_status_check'],
    ['a cause that is none', 'queued', { cause: 'magic' }, 'runs_cause_check'],
    ['a signal that is none', 'queued', { signal: 'kill' }, 'runs_signal_check'],
    ['an attempt before the first', 'queued', { attempt: 0 }, 'runs_attempt_check'],
    ['failures below none', 'queued', { failures: -1 }, 'runs_attempt_check'],
    ['losses below none', 'queued', { lost: -1 }, 'runs_attempt_check'],
    ['queued and finished', 'queued', { finished_at: at }, 'runs_finished_check'],
    ['queued with a worker', 'queued', { worker_id: worker }, 'runs_status_check'],
    ['queued and waiting for a retry', 'queued', { next_attempt_at: at }, 'runs_waiting_check'],
    ['running without a worker', 'running', { worker_id: null }, 'runs_status_check'],
    ['running without a start', 'running', { started_at: null }, 'runs_status_check'],
    ['running without a start of its attempt', 'running', { attempt_started_at: null }, 'runs_status_check'],
    ['running and finished', 'running', { finished_at: at }, 'runs_finished_check'],
    ['running and waiting for a retry', 'running', { next_attempt_at: at }, 'runs_waiting_check'],
    ['retrying without a time', 'retrying', { next_attempt_at: null }, 'runs_waiting_check'],
    ['retrying without a start', 'retrying', { started_at: null }, 'runs_status_check'],
    ['retrying with a worker', 'retrying', { worker_id: worker }, 'runs_status_check'],
    ['retrying and finished', 'retrying', { finished_at: at }, 'runs_finished_check'],
    ['succeeded without an end', 'succeeded', { finished_at: null }, 'runs_finished_check'],
    ['succeeded without a start', 'succeeded', { started_at: null }, 'runs_status_check'],
    ['succeeded and waiting', 'succeeded', { next_attempt_at: at }, 'runs_waiting_check'],
    ['failed without an error', 'failed', { error: null }, 'runs_status_check'],
    ['failed without a start', 'failed', { started_at: null }, 'runs_status_check'],
    ['failed without an end', 'failed', { finished_at: null }, 'runs_finished_check'],
    ['timed out without an error', 'timed_out', { error: null }, 'runs_status_check'],
    ['timed out without a start', 'timed_out', { started_at: null }, 'runs_status_check'],
    ['cancelled without an end', 'cancelled', { finished_at: null }, 'runs_finished_check'],
    ['skipped without a reason', 'skipped', { reason: null }, 'runs_status_check'],
    ['skipped and started', 'skipped', { started_at: at }, 'runs_status_check'],
    ['skipped without an end', 'skipped', { finished_at: null }, 'runs_finished_check'],
    ['missed without a reason', 'missed', { reason: null }, 'runs_status_check'],
    ['missed and started', 'missed', { started_at: at }, 'runs_status_check'],
  ];
  it.each(impossible)('refuse a row that is %s', async (_, status, part, constraint) => {
    const found = await broken(() => insert('runs', { ...base(), status, ...whole[status], ...part }));
    expect(found).toMatch(new RegExp(`^(${constraint})$`));
  });

  it('refuse a second row of one id', async () => {
    const row = { ...base(), status: 'queued' };
    await insert('runs', row);
    expect(await broken(() => insert('runs', row))).toBe('runs_pkey');
  });
});

describe('run attempts and log lines', () => {
  let runId: string;
  beforeAll(async () => {
    const row = { ...base(), status: 'queued' };
    await insert('runs', row);
    runId = row.id;
  });
  const attempt = (part: Row): Row => ({
    run_id: runId,
    number: 1,
    started_at: at,
    finished_at: at,
    status: 'failed',
    ...part,
  });

  it('take attempts that ended and did not end their run, and no others', async () => {
    const kept = ['failed', 'timed_out', 'lost', 'handed_back', 'waiting'];
    for (const [number, status] of attemptStatuses.entries()) {
      const found = await broken(() => insert('run_attempts', attempt({ number, status })));
      expect(found).toBe(kept.includes(status) ? null : 'run_attempts_status_check');
    }
  });

  it('take an attempt once', async () => {
    await insert('run_attempts', attempt({ number: 50 }));
    expect(await broken(() => insert('run_attempts', attempt({ number: 50 })))).toBe(
      'run_attempts_run_id_number_pk',
    );
  });

  it('take nothing of a run that is not there', async () => {
    expect(await broken(() => insert('run_attempts', attempt({ run_id: worker })))).toBe(
      'run_attempts_run_fk',
    );
    const line = { run_id: worker, attempt: 1, seq: 1, at, level: 'info', message: '' };
    expect(await broken(() => insert('run_logs', line))).toBe('run_logs_run_fk');
  });

  it('take the four levels, and no other', async () => {
    const line = (seq: number, level: string) => ({ run_id: runId, attempt: 1, seq, at, level, message: '' });
    for (const [seq, level] of ['debug', 'info', 'warn', 'error'].entries()) {
      expect(await broken(() => insert('run_logs', line(seq, level)))).toBeNull();
    }
    expect(await broken(() => insert('run_logs', line(9, 'shout')))).toBe('run_logs_level_check');
  });

  it('go with their run', async () => {
    const row = { ...base(), status: 'queued' };
    await insert('runs', row);
    await insert('run_attempts', attempt({ run_id: row.id }));
    await insert('run_logs', { run_id: row.id, attempt: 1, seq: 1, at, level: 'info', message: '' });
    await house.db.execute(sql`delete from runs where id = ${row.id}`);
    const left = await house.db.execute(sql`
      select (select count(*)::int from run_attempts where run_id = ${row.id}) as attempts,
        (select count(*)::int from run_logs where run_id = ${row.id}) as lines`);
    expect(left.rows).toEqual([{ attempts: 0, lines: 0 }]);
  });
});

const aPause = JSON.stringify([{ labels: null, sinceMs: 0, actor: 'api', note: null }]);

describe('schedules', () => {
  const change = (part: SQL) =>
    broken(() => house.db.execute(sql`update schedules set ${part} where id = ${scheduleId}`));

  it('take every status, overlap and catch-up policy that there is', async () => {
    for (const status of scheduleStatuses) {
      expect(
        await change(sql`status = ${status}, paused_at = ${status === 'paused' ? at : null}::timestamptz,
          pauses = ${status === 'paused' ? aPause : '[]'}::jsonb`),
      ).toBeNull();
    }
    expect(await change(sql`status = 'active', paused_at = null, pauses = '[]'`)).toBeNull();
    for (const policy of overlapPolicies) expect(await change(sql`overlap = ${policy}`)).toBeNull();
    for (const policy of catchUpPolicies) expect(await change(sql`catch_up = ${policy}`)).toBeNull();
  });

  it.each([
    ['a status that is none', sql`status = 'asleep'`, 'schedules_status_check'],
    ['an overlap policy that is none', sql`overlap = 'maybe'`, 'schedules_overlap_check'],
    ['a catch-up policy that is none', sql`catch_up = 'some'`, 'schedules_catch_up_check'],
    ['paused without a time', sql`status = 'paused', pauses = ${aPause}::jsonb`, 'schedules_paused_check'],
    ['paused by nothing', sql`status = 'paused', paused_at = ${at}`, 'schedules_pauses_check'],
    ['active with a pause', sql`pauses = ${aPause}::jsonb`, 'schedules_pauses_check'],
    ['active with the time of a pause', sql`paused_at = ${at}`, 'schedules_paused_check'],
    ['an end before the start', sql`start_at = ${at}, end_at = '2026-02-28'`, 'schedules_window_check'],
    ['no runs at all', sql`max_runs = 0`, 'schedules_max_runs_check'],
    ['a version before the first', sql`version = 0`, 'schedules_version_check'],
  ])('refuse %s', async (_, part, constraint) => {
    expect(await change(part)).toBe(constraint);
  });

  it('refuse a version that does not follow the last one', async () => {
    const error = await house.db
      .execute(sql`update schedules set version = version + 2 where id = ${scheduleId}`)
      .catch((error: Error) => error);
    expect(String((error as Error).cause)).toMatch(/version 3 of schedule .* cannot follow version 1/);
  });

  it('refuse a name twice', async () => {
    const other = await house.create();
    expect(await change(sql`name = ${other.spec.name}`)).toBe('schedules_name_key');
  });
});

describe('schedule states', () => {
  const change = (part: SQL) =>
    broken(() => house.db.execute(sql`update schedule_states set ${part} where schedule_id = ${scheduleId}`));

  it.each([
    ['a next time that is never due', sql`next_run_at = ${at}, due_at = null`],
    ['a due time of nothing', sql`next_run_at = null, due_at = ${at}`],
    ['due before its time', sql`next_run_at = '2026-03-02', due_at = '2026-03-01'`],
  ])('refuse %s', async (_, part) => {
    expect(await change(part)).toBe('schedule_states_due_check');
  });

  it('refuse fewer active runs than none', async () => {
    expect(await change(sql`active_runs = -1`)).toBe('schedule_states_active_runs_check');
  });

  it('refuse to be without their schedule, and go with it', async () => {
    expect(await broken(() => insert('schedule_states', { schedule_id: worker }))).toBe(
      'schedule_states_schedule_fk',
    );
  });
});

describe('the house’s own rows', () => {
  it('are one of dispatching, and outages that end after they begin', async () => {
    expect(await broken(() => insert('dispatch_state', { id: 2, alive_until: at }))).toBe(
      'dispatch_state_one_row_check',
    );
    expect(await broken(() => insert('outages', { from_at: at, until_at: at }))).toBe('outages_order_check');
  });
});

describe('the lists of the program and of the database', () => {
  it('name the same signals', async () => {
    for (const signal of runSignals) {
      expect(await broken(() => insert('runs', { ...base(), status: 'queued', signal }))).toBeNull();
    }
  });
});
