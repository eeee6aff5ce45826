/** Mail through a real SMTP server. */
import { describe, expect, it } from 'vitest';
import { startMailServer } from '../support/mail-server.ts';
import { setupNotifyRig } from '../support/notify-rig.ts';

const password = 'canary p@ss/word';

async function setup(given = password) {
  const server = await startMailServer(password);
  const rig = await setupNotifyRig({
    url: `smtp://carillon:${encodeURIComponent(given)}@${server.host}`,
    from: 'Carillon <carillon@example.com>',
  });
  const schedule = await rig.create([
    { on: ['failure', 'paused'], email: { to: ['ops@example.com', 'boss@example.com'] } },
  ]);
  return { ...rig, server, schedule };
}

describe('a mail', () => {
  it('goes to each address by itself, and says what happened', async () => {
    const { server, schedule, run, deliver, of } = await setup();
    await run(schedule, 'fail');
    await deliver();
    expect(server.mails.map(({ to }) => to).sort()).toEqual([['boss@example.com'], ['ops@example.com']]);
    const [mail] = server.mails;
    expect(mail).toMatchObject({ from: 'carillon@example.com', user: 'carillon' });
    expect(mail!.text).toContain(`Subject: [Carillon] ${schedule.spec.name} failed`);
    expect(mail!.text).toContain('Error: Broken: as the test wanted');
    expect(mail!.text).toContain('Auto-Submitted: auto-generated');
    const ids = server.mails.map(({ text }) => /^Message-ID: <(.*)@carillon>/m.exec(text)![1]);
    expect((await of(schedule)).map(({ id }) => id).sort()).toEqual(ids.sort());
  });

  it('that is put off is tried again as the same one, and one that is refused is given up', async () => {
    const { house, server, schedule, run, deliver, of } = await setup();
    server.refuse(451);
    await run(schedule, 'fail');
    await deliver();
    expect(await of(schedule)).toMatchObject([
      { status: 'pending', attempts: 1, lastError: expect.stringContaining('not now') },
      { status: 'pending' },
    ]);
    server.refuse(null);
    house.clock.advance(5_000);
    await deliver();
    expect((await of(schedule)).map(({ status, attempts }) => [status, attempts])).toEqual([
      ['delivered', 2],
      ['delivered', 2],
    ]);
    server.refuse(550);
    await house.schedules.pause(schedule.id, 'enough');
    await deliver();
    expect((await of(schedule)).slice(2).map(({ status, attempts }) => [status, attempts])).toEqual([
      ['dead', 1],
      ['dead', 1],
    ]);
  });

  it('that may not be sent says so without the password', async () => {
    const { schedule, run, deliver, of } = await setup('canary wrong');
    await run(schedule, 'fail');
    await deliver();
    const [kept] = await of(schedule);
    expect(kept).toMatchObject({ status: 'pending', lastError: expect.stringContaining('wrong password') });
    expect(JSON.stringify(kept)).not.toContain('canary');
  });

  it('is left to a process that has a server', async () => {
    const { schedule, run, another, of } = await setup();
    await run(schedule, 'fail');
    const without = another({ mail: null });
    await without.pass();
    await without.pass();
    await without.settled();
    expect(await of(schedule)).toMatchObject([
      { status: 'pending', attempts: 0 },
      { status: 'pending', attempts: 0 },
    ]);
  });
});
