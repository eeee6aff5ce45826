// biome-ignore-all lint/suspicious/noTemplateCurlyInString: They are references to secrets.
/** `notify` and `lateAfter` of a schedule, and GET /schedules/{id}/notifications */
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { insertNotifications, recordTry } from '../../src/db/notification-store.ts';
import { notificationAnswer } from '../../src/routes/notifications.ts';
import { newId } from '../../src/runs/run-id.ts';
import { noop, setupApi } from '../support/api-house.ts';
import { expectProblem, expectRefused, expectSchedule } from './wire-shapes.ts';

const api = await setupApi();
const mailing = await setupApi({ canMail: true });
afterAll(() => Promise.all([api.close(), mailing.close()]));
beforeEach(() => Promise.all([api.reset(), mailing.reset()]));

const url = 'https://example.com/hook';
const hook = { on: ['failure', 'recovered'], webhook: { url } };
const body = (notify: unknown, more: object = {}) => ({
  name: 'told',
  every: '1h',
  job: noop,
  notify,
  ...more,
});

describe('a schedule’s `notify` and `lateAfter`', () => {
  test('are answered as they were given, by default empty and null', async () => {
    await mailing.put('/secrets/key', { value: 'MDEyMzQ1Njc4OWFiY2RlZg==' });
    const notify = [
      {
        on: ['missed', 'failure'],
        webhook: { url, secret: { $secret: 'key' }, headers: { authorization: 'Bearer ${secret:key}' } },
      },
      { on: ['paused'], email: { to: 'ops@example.com' } },
    ];
    const created = (await mailing.post('/schedules', body(notify, { lateAfter: '90s' }))).body;
    expectSchedule(created, 'every');
    expect(created).toMatchObject({
      lateAfter: '90s',
      notify: [
        { ...notify[0], on: ['failure', 'missed'] },
        { on: ['paused'], email: { to: ['ops@example.com'] } },
      ],
    });
    expect((await mailing.get('/schedules/told')).body.notify).toEqual(created.notify);
    expect((await mailing.create('plain')).notify).toEqual([]);
    expect((await mailing.get('/schedules/plain')).body.lateAfter).toBe(null);
    expect((await mailing.delete('/secrets/key')).status).toBe(409);
  });

  test('are replaced by PUT and changed by PATCH; the same again is no change', async () => {
    const { version } = (await api.post('/schedules', body([hook], { lateAfter: '5m' }))).body;
    const { name: _, ...rest } = body([hook], { lateAfter: '5m' });
    expect((await api.put('/schedules/told', rest)).body).toMatchObject({ version, notify: [hook] });
    expect((await api.patch('/schedules/told', { description: 'x' })).body).toMatchObject({
      notify: [hook],
      lateAfter: '5m',
    });
    expect((await api.patch('/schedules/told', { lateAfter: null, notify: null })).body).toMatchObject({
      notify: [],
      lateAfter: null,
    });
    expect((await api.patch('/schedules/told', { notify: [hook] })).body.notify).toEqual([hook]);
    expect((await api.put('/schedules/told', { every: '1h', job: noop })).body.notify).toEqual([]);
  });

  test.each<[string, object, string, (RegExp | string)?]>([
    ['no list', body({}), '/notify'],
    ['an unknown event', body([{ ...hook, on: ['fail'] }]), '/notify/0/on/0'],
    ['no event', body([{ ...hook, on: [] }]), '/notify/0/on'],
    ['no receiver', body([{ on: ['failure'] }]), '/notify/0', 'exactly one of'],
    ['two receivers', body([{ ...hook, email: { to: 'a@b.c' } }]), '/notify/0', 'exactly one of'],
    ['an unknown field', body([{ ...hook, retries: 3 }]), '/notify/0/retries'],
    ['no address', body([{ on: ['failure'], webhook: {} }]), '/notify/0/webhook/url'],
    ['another scheme', body([{ on: ['failure'], webhook: { url: 'ftp://x/' } }]), '/notify/0/webhook/url'],
    [
      'a password in its address',
      body([{ on: ['failure'], webhook: { url: 'https://me:canary@x/' } }]),
      '/notify/0/webhook/url',
    ],
    [
      'a key in the clear',
      body([{ on: ['failure'], webhook: { url, secret: 'whsec_Y2FuYXJ5' } }]),
      '/notify/0/webhook/secret',
    ],
    [
      'a credential in the clear',
      body([{ on: ['failure'], webhook: { url, headers: { Authorization: 'Bearer canary' } } }]),
      '/notify/0/webhook/headers/Authorization',
      'PUT /secrets',
    ],
    [
      'a header that is ours',
      body([{ on: ['failure'], webhook: { url, headers: { 'Webhook-Id': '1' } } }]),
      '/notify/0/webhook/headers/Webhook-Id',
    ],
    [
      'a header with a line break',
      body([{ on: ['failure'], webhook: { url, headers: { x: 'a\r\nb: c' } } }]),
      '/notify/0/webhook/headers/x',
    ],
    [
      'a secret that there is not',
      body([{ on: ['failure'], webhook: { url, secret: { $secret: 'none' } } }]),
      '/notify/0/webhook/secret',
      'There is no secret "none"',
    ],
    [
      'mail, where none can be sent',
      body([hook, { on: ['failure'], email: { to: 'a@b.c' } }]),
      '/notify/1/email',
      'CARILLON_SMTP_URL',
    ],
    ['too many receivers', body(Array(11).fill(hook)), '/notify'],
    ['no duration', body([], { lateAfter: 5 }), '/lateAfter'],
    ['too short a lateAfter', body([], { lateAfter: '10ms' }), '/lateAfter'],
    [
      'a lateAfter within its jitter',
      body([], { lateAfter: '30s', jitter: '30s' }),
      '/lateAfter',
      'longer than `jitter`',
    ],
  ])('with %s are refused', async (_what, given, pointer, words) => {
    const before = await api.snapshot();
    const refused = await api.post('/schedules', given);
    expectProblem(refused, { status: 400, code: 'invalid', pointers: [pointer], ...(words && { words }) });
    expect(refused.text).not.toContain('canary');
    expect(await api.snapshot()).toEqual(before);
  });

  test.each([
    'no address',
    'a@b@c',
    'a b@c',
    'a@b,c@d',
    'a@b\r\nbcc: x@y',
  ])('an address %j is refused', async (to) => {
    await expectRefused(
      mailing,
      () => mailing.post('/schedules', body([{ on: ['failure'], email: { to } }])),
      {
        status: 400,
        pointers: ['/notify/0/email/to'],
      },
    );
  });
});

test('notifications come newest first, in pages, by status, without what is secret', async () => {
  const schedule = await api.create('told');
  const { db, clock } = api.house;
  const ids: string[] = [];
  for (let n = 0; n < 3; n += 1) {
    clock.advance(1000);
    ids.push(newId(clock.now()));
    const one = {
      id: ids[n]!,
      scheduleId: schedule.id,
      scheduleName: 'told',
      runId: null,
      kind: 'missed' as const,
      channel: 'webhook' as const,
      receiver: 'https://example.com',
      target: { webhook: { url: `${url}?key=\${secret:key}` } },
      payload: {},
    };
    await db.transaction((tx) => insertNotifications(tx, [one], clock.now(), 10));
  }
  await recordTry(db, { id: ids[0]!, attempts: 0 }, { status: 'dead', error: 'no' }, clock.now());
  const first = (await api.get('/schedules/told/notifications?limit=2')).body;
  expect(first.items.map(({ id }: { id: string }) => id)).toEqual([ids[2], ids[1]]);
  for (const item of first.items) notificationAnswer.strict().parse(item);
  expect(first.items[0]).toMatchObject({ on: 'missed', target: url, status: 'pending', attempts: 0 });
  const rest = (await api.get(`/schedules/told/notifications?limit=2&cursor=${first.nextCursor}`)).body;
  expect([rest.items, rest.nextCursor]).toMatchObject([[{ id: ids[0], lastError: 'no' }], null]);
  expect((await api.get('/schedules/told/notifications?status=dead')).body.items).toHaveLength(1);
  await api.delete('/schedules/told');
  expect((await api.get(`/schedules/${schedule.id}/notifications`)).body.items).toHaveLength(3);
  expectProblem(await api.get('/schedules/told/notifications'), { status: 404 });
  expectProblem(await api.get(`/schedules/${schedule.id}/notifications?status=lost`), {
    status: 400,
    pointers: ['?status'],
  });
});
