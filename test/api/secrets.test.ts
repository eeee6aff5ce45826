/** /secrets: values go in and never come out. */
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { secretAnswer } from '../../src/routes/secret-wire.ts';
import { setupApi } from '../support/api-house.ts';
import { expectProblem, expectRefused, instant } from './wire-shapes.ts';

const api = await setupApi();
afterAll(() => api.close());
beforeEach(() => api.reset());

const value = 'correct-horse-battery-staple';
const path = '/secrets/warehouse';

test('a secret is stored, told without its value, and found again', async () => {
  const response = await api.put(path, { value, description: 'The warehouse' });
  expect(response.status).toBe(201);
  expect(response.headers.location).toBe(path);
  expect(response.body).toEqual({
    name: 'warehouse',
    description: 'The warehouse',
    version: 1,
    createdAt: instant,
    updatedAt: instant,
  });
  secretAnswer.strict().parse(response.body);
  const found = await api.get(path);
  expect(found.body).toEqual(response.body);
  const again = await api.put(path, { value, description: 'The warehouse' });
  expect([again.status, again.body]).toEqual([200, response.body]);
  const changed = await api.put(path, { value: `${value}!` });
  expect([changed.status, changed.body]).toEqual([
    200,
    { ...response.body, description: '', version: 2, updatedAt: instant },
  ]);
  for (const each of [response, found, again, changed]) {
    expect(each.text + JSON.stringify(each.headers)).not.toContain('horse');
  }
});

test('names are as those of calendars', async () => {
  const response = await api.put(`/secrets/${encodeURIComponent('仓库.密码-1')}`, { value });
  expect([response.status, response.body.name]).toEqual([201, '仓库.密码-1']);
  expect(response.headers.location).toBe(`/secrets/${encodeURIComponent('仓库.密码-1')}`);
  await expectRefused(api, () => api.put('/secrets/a%20b', { value }), { status: 400, pointers: ['/name'] });
  for (const ref of ['a%20b', 'nope']) {
    for (const request of [() => api.get(`/secrets/${ref}`), () => api.delete(`/secrets/${ref}`)]) {
      await expectRefused(api, request, { status: 404, code: 'not_found', words: 'There is no secret' });
    }
  }
});

test('the list is in pages, without values', async () => {
  for (const name of ['a', 'b', 'c']) {
    await api.put(`/secrets/${name}`, { value });
    await api.house.live(1);
  }
  const page = await api.get('/secrets?limit=2');
  expect(page.body.items.map((item: { name: string }) => item.name)).toEqual(['c', 'b']);
  for (const item of page.body.items) secretAnswer.strict().parse(item);
  expect(page.headers.link).toMatch(/^<\/secrets\?.*cursor=.*>; rel="next"$/);
  const rest = await api.get(`/secrets?limit=2&cursor=${page.body.nextCursor}`);
  expect([rest.body.items.map((item: { name: string }) => item.name), rest.body.nextCursor]).toEqual([
    ['a'],
    null,
  ]);
  expect(page.text + rest.text).not.toContain('horse');
  expectProblem(await api.get('/secrets?cursor=nope'), { status: 400, pointers: ['?cursor'] });
});

describe('a body is refused, and its value not repeated,', () => {
  test.each<[string, object, string[]]>([
    ['without a value', {}, ['/value']],
    ['with an empty one', { value: '' }, ['/value']],
    ['with a number', { value: 12345678 }, ['/value']],
    ['with an object', { value: { horse: 'horse' } }, ['/value']],
    ['with too long a one', { value: 'horse'.repeat(20_000) }, ['/value']],
    ['with too many bytes', { value: '马horse'.repeat(9_000) }, ['/value']],
    ['with a null character', { value: 'horse\0' }, ['/value']],
    ['with a field that is none', { value, valeu: 'horse' }, ['/valeu']],
    ['with a field that is read-only', { value, version: 3 }, ['/version']],
    ['with a description that is none', { value, description: 5 }, ['/description']],
  ])('%s', async (_what, body, pointers) => {
    await expectRefused(api, () => api.put(path, body), { status: 400, pointers });
    const { text } = await api.put(path, body);
    expect(text).not.toMatch(/horse|12345678/);
  });
});

test('a deleted secret is gone', async () => {
  await api.put(path, { value });
  expect((await api.delete(path)).status).toBe(204);
  await expectRefused(api, () => api.get(path), { status: 404 });
  expect((await api.put(path, { value })).status).toBe(201);
});

test('the database has no value either', async () => {
  await api.put(path, { value });
  const { rows } = await api.house.pool.query<{ row: string; sealed: Buffer }>(
    'select s::text as row, sealed from secrets s',
  );
  expect(rows).toHaveLength(1);
  expect(rows[0]!.row + rows[0]!.sealed.toString('latin1')).not.toContain('horse');
  expect(rows[0]!.row).not.toContain(Buffer.from(value).toString('hex'));
});

test('the document says that the value is write-only, and no answer has it', async () => {
  const { components } = (await api.get('/openapi.json')).body as {
    components: { schemas: Record<string, { properties: Record<string, { writeOnly?: boolean }> }> };
  };
  const schemas = Object.entries(components.schemas);
  expect(components.schemas.SecretDefinition?.properties.value?.writeOnly).toBe(true);
  expect(Object.keys(components.schemas.Secret!.properties)).toEqual([
    'name',
    'description',
    'version',
    'createdAt',
    'updatedAt',
  ]);
  expect(schemas.length).toBeGreaterThan(5);
});
