/** The job type of docs/writing-a-job.md, as it stands there. */
import { once } from 'node:events';
import { readFile, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import type { JobContext, JobType } from '../../src/jobs/job.ts';
import { createJobRegistry } from '../../src/jobs/registry.ts';
import { setupRig } from '../support/worker-rig.ts';

it('is a job that is checked, described, and does what it says, once', async () => {
  const text = await readFile(new URL('../../docs/writing-a-job.md', import.meta.url), 'utf8');
  const [, code = ''] = /```ts\n(.*?)```/s.exec(text) ?? [];
  expect(code.trim().split('\n').length).toBeLessThanOrEqual(30);
  // Here, from where packages are found; no test reads this folder.
  const file = new URL(`../support/report-job-${process.pid}.ts`, import.meta.url);
  await writeFile(file, code.replace("'./job.ts'", "'../../src/jobs/job.ts'"));
  onTestFinished(() => rm(file, { force: true }));
  const { reportJob } = (await import(file.href)) as { reportJob: JobType };
  const { catalog } = createJobRegistry([reportJob]);
  expect(catalog.check('report', { url: 'http://127.0.0.1/', atLeast: 2 })).toEqual([]);
  expect(catalog.check('report', { url: 'nowhere' })).toMatchObject([{ pointer: '/url' }]);

  const server = http.createServer((_request, response) => response.end('one two three'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const rig = await setupRig();
  rig.script('report', (context: JobContext, input) =>
    reportJob.run(context, reportJob.input.parse(input.of)),
  );
  await rig.worker();
  const { id } = await rig.trigger('report', {}, { of: { url } });
  expect(await rig.ended(id)).toMatchObject({
    status: 'succeeded',
    output: { words: 3 },
    steps: [{ name: 'count', output: 3 }, { name: 'tell' }],
  });
  expect((await rig.logOf(id)).map((line) => line.message)).toEqual([`${url} has 3 words`]);
  const short = await rig.trigger('report', {}, { of: { url, atLeast: 4 } });
  expect(await rig.ended(short.id)).toMatchObject({ status: 'failed', error: { type: 'TooShort' } });
});
