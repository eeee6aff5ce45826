// biome-ignore-all lint/suspicious/noTemplateCurlyInString: References are written so.
/** Secrets as a resource, over a real table. */
import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { DomainError } from '../../src/errors.ts';
import { readSecretKey, UnusableSecretKey } from '../../src/secrets/secret-key.ts';
import { createSecretService, type SecretService } from '../../src/secrets/secret-service.ts';
import { type House, setupHouse } from '../support/house.ts';

let house: House;
let service: SecretService;
let key = newKey();
let users: string[] = [];
let keysAsked = 0;

function newKey() {
  return readSecretKey(randomBytes(32).toString('hex'));
}

beforeAll(async () => {
  house = await setupHouse();
  await house.db.execute(sql`
    create table if not exists secrets (id uuid primary key, name text not null constraint secrets_name_key unique,
      description text not null, sealed bytea not null, key_id text not null, version integer not null,
      created_at timestamptz(3) not null, updated_at timestamptz(3) not null)`);
  service = createSecretService({
    db: house.db,
    clock: house.clock,
    key: async () => {
      keysAsked += 1;
      return key;
    },
    usersOf: async (name) => users.map((user) => `${user} of ${name}`),
  });
});
beforeEach(async () => {
  await house.reset();
  await house.db.execute(sql`delete from secrets`);
  key = newKey();
  users = [];
  keysAsked = 0;
});
afterAll(() => house.close());

const put = (name: string, value: string, description = '') => service.put(name, { value, description });
const refusal = async (promise: Promise<unknown>): Promise<DomainError> => {
  const error = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (error instanceof DomainError) return error;
  throw new Error('not refused', { cause: error });
};
/** All that the database has of secrets, as bytes. */
const kept = async () => {
  const { rows } = await house.db.execute<{ row: string; sealed: Buffer }>(
    sql`select s::text as row, sealed from secrets s order by id`,
  );
  return rows.map((row) => row.row + row.sealed.toString('latin1')).join('\n');
};

describe('a secret', () => {
  it('is made, then replaced; its version counts the changes, and it keeps its id', async () => {
    const first = await put('db', 'hunter2-one', 'The warehouse');
    expect(first).toEqual({
      created: true,
      secret: {
        id: expect.any(String),
        name: 'db',
        description: 'The warehouse',
        version: 1,
        createdAtMs: house.clock.now(),
        updatedAtMs: house.clock.now(),
      },
    });
    house.clock.advance(1_001);
    const second = await put('db', 'hunter2-two', 'The warehouse');
    expect(second).toEqual({
      created: false,
      secret: { ...first.secret, version: 2, updatedAtMs: first.secret.updatedAtMs + 1_001 },
    });
    expect(await service.get('db')).toEqual(second.secret);
    expect((await service.resolve({ $secret: 'db' })).input).toBe('hunter2-two');
    house.clock.advance(1);
    expect((await put('db', 'hunter2-two', 'Moved')).secret).toMatchObject({
      version: 3,
      description: 'Moved',
    });
  });

  it('put again as it is changes nothing', async () => {
    const { secret } = await put('db', 'hunter2-one');
    const before = await kept();
    house.clock.advance(1_000);
    expect(await put('db', 'hunter2-one')).toEqual({ created: false, secret });
    expect(await kept()).toBe(before);
  });

  it('put by many at once ends as one of them, and all changes are counted', async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, (_, n) => put('db', `hunter2-${n}`)));
    expect(answers.filter((each) => each.created)).toHaveLength(1);
    expect(answers.map((each) => each.secret.version).sort()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(new Set(answers.map((each) => each.secret.id)).size).toBe(1);
    expect((await service.resolve({ $secret: 'db' })).input).toMatch(/^hunter2-\d$/);
  });

  it('is in no row, answer or list', async () => {
    const value = 'correct-horse-battery';
    const answers = [await put('db', value), await put('db', value), await service.get('db')];
    answers.push((await service.list({ limit: 10, after: null })) as never);
    const text = (await kept()) + inspect(answers, { depth: 9 });
    for (const form of [value, Buffer.from(value).toString('hex'), Buffer.from(value).toString('base64')]) {
      expect(text).not.toContain(form);
    }
    expect(text).not.toContain('sealed');
    expect(text).toContain(key.id);
  });

  it.each([
    ['', /must not be empty/],
    ['x'.repeat(65_537), /at most 65536 bytes/],
    ['é'.repeat(40_000), /has 80000/],
    ['hunter2\ud800', /UTF-8/],
  ])('is refused for a value that cannot be one (%#)', async (value, words) => {
    const error = await refusal(put('db', value));
    expect([error.code, error.issues.map((issue) => issue.pointer)]).toEqual(['invalid', ['/value']]);
    expect(error.message).toMatch(words);
    expect(error.message).not.toContain('hunter2');
    expect(await kept()).toBe('');
  });

  it('is listed in pages, newest first', async () => {
    for (const name of ['a', 'b', 'c']) {
      await put(name, 'hunter2');
      house.clock.advance(1);
    }
    const page = await service.list({ limit: 2, after: null });
    expect(page.items.map((item) => item.name)).toEqual(['c', 'b']);
    expect(Object.keys(page.items[0]!).sort()).toEqual(
      ['createdAtMs', 'description', 'id', 'name', 'updatedAtMs', 'version'].sort(),
    );
    const rest = await service.list({ limit: 2, after: page.next });
    expect([rest.items.map((item) => item.name), rest.next]).toEqual([['a'], null]);
  });

  it('is removed, but not while schedules refer to it', async () => {
    await put('db', 'hunter2');
    users = ['one', 'two'];
    const error = await refusal(service.remove('db'));
    expect(error.code).toBe('conflict');
    expect(error.message).toBe(
      'Secret "db" is in use by "one of db", "two of db". Take it out of their inputs first, or replace its value with PUT /secrets/db.',
    );
    users = ['1', '2', '3', '4', '5', '6'];
    expect((await refusal(service.remove('db'))).message).toContain('"5 of db" and others.');
    users = [];
    await service.remove('db');
    for (const gone of [() => service.remove('db'), () => service.get('db')]) {
      expect((await refusal(gone())).message).toMatch(/^There is no secret "db"\./);
    }
    expect((await refusal(service.get('db'))).code).toBe('not_found');
  });
});

describe('an input', () => {
  it('gets its values, and a redactor that knows them', async () => {
    await put('db', 'p@ss word');
    await put('token', 'hunter2-token');
    await put('other', 'not asked for');
    const stored = {
      url: 'postgres://app:${secret:db}@db/x',
      headers: { authorization: 'Bearer ${secret:token}' },
      body: [{ $secret: 'db' }, 'a', 1],
    };
    const before = structuredClone(stored);
    const { input, redact } = await service.resolve(stored);
    expect(input).toEqual({
      url: 'postgres://app:p%40ss%20word@db/x',
      headers: { authorization: 'Bearer hunter2-token' },
      body: ['p@ss word', 'a', 1],
    });
    expect(stored).toEqual(before);
    expect(redact('p@ss word, p%40ss%20word, hunter2-token; not asked for')).toBe(
      '[secret:db], [secret:db], [secret:token]; not asked for',
    );
    expect(redact(JSON.stringify(input))).not.toMatch(/ss word|ss%20word|hunter2/);
    expect(redact('at postgres://app:p%40ss%20word@db/x')).toBe('at postgres://app:[secret:db]@db/x');
    expect(redact('at postgres://app:clear@db/x')).toBe('at postgres://app:***@db/x');
  });

  it('without references needs neither key nor database', async () => {
    const away = createSecretService({
      db: null as never,
      clock: house.clock,
      key: () => Promise.reject(new Error('no key')),
      usersOf: async () => [],
    });
    const { input, redact } = await away.resolve({ a: ['$${secret:x}', 1] });
    expect(input).toEqual({ a: ['${secret:x}', 1] });
    expect(redact('a://b:c@d')).toBe('a://b:***@d');
    expect(await away.check({ a: 1 })).toEqual([]);
  });

  it('with an unknown secret is refused with its place, and no key is made for it', async () => {
    const error = await refusal(service.resolve({ a: { $secret: 'nope' }, b: '${secret:no' }));
    expect([error.code, error.issues.map((issue) => issue.pointer)]).toEqual(['invalid', ['/b', '/a']]);
    expect(keysAsked).toBe(0);
  });

  it('is checked before it is stored: references, names, and what is in the clear', async () => {
    await put('db', 'hunter2');
    const issues = await service.check({
      good: '${secret:db}',
      unknown: { $secret: 'nope' },
      broken: '${secret:}',
      clear: 'postgres://a:hunter2@b',
    });
    expect(issues.map((issue) => issue.pointer)).toEqual(['/broken', '/unknown', '/clear']);
    expect(JSON.stringify(issues)).not.toContain('hunter2');
    expect(await service.check({ url: 'postgres://a:${secret:db}@b', x: { $secret: 'db' } })).toEqual([]);
  });
});

describe('a secret that cannot be opened', () => {
  it('for another key says so, and is mended by putting it again', async () => {
    await put('db', 'hunter2-one');
    const first = key;
    key = newKey();
    const error = await refusal(service.resolve({ $secret: 'db' }));
    expect(error.code).toBe('conflict');
    expect(error.message).toContain(`another key (${first.id}) than the one of this node (${key.id})`);
    const mended = await put('db', 'hunter2-one');
    expect([mended.created, mended.secret.version]).toEqual([false, 2]);
    expect((await service.resolve({ $secret: 'db' })).input).toBe('hunter2-one');
  });

  it('for damage, or another one’s bytes, says so', async () => {
    await put('db', 'hunter2-one');
    await put('other', 'hunter2-two');
    await house.db.execute(
      sql`update secrets set sealed = (select sealed from secrets where name = 'other') where name = 'db'`,
    );
    const error = await refusal(service.resolve({ $secret: 'db' }));
    expect([error.code, error.message]).toEqual([
      'conflict',
      'Secret "db" cannot be opened: what is stored was changed, or was sealed under another name. Store it again with PUT /secrets/db.',
    ]);
    expect((await put('db', 'hunter2-one')).secret.version).toBe(2);
    expect((await service.resolve({ $secret: 'db' })).input).toBe('hunter2-one');
  });

  it('for a key file that cannot be used says what to do with it', async () => {
    await put('db', 'hunter2-one');
    const keyless = createSecretService({
      db: house.db,
      clock: house.clock,
      key: () => Promise.reject(new UnusableSecretKey('secret.key is open to other users')),
      usersOf: async () => [],
    });
    const error = await refusal(keyless.resolve({ $secret: 'db' }));
    expect([error.code, error.message]).toEqual([
      'conflict',
      'The key to the secrets is missing: secret.key is open to other users',
    ]);
  });
});
