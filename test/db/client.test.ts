/** Transactions over a connection that breaks at each of their edges: nothing is leaked, and the first error is told. */
import { sql } from 'drizzle-orm';
import { expect, it, onTestFinished } from 'vitest';
import { startProxy } from '../../chaos/proxy.ts';
import { openDatabase } from '../../src/db/client.ts';
import { isOutage } from '../../src/routes/outage.ts';
import { createTestDatabase } from '../support/database.ts';

/** A pool of one connection, so that one that is leaked is the last. */
async function setup() {
  const database = await createTestDatabase();
  const direct = new URL(database.url);
  const proxy = await startProxy(Number(direct.port), direct.hostname);
  const url = new URL(direct);
  url.hostname = '127.0.0.1';
  url.port = String(proxy.port);
  const { db, pool, close } = openDatabase({
    url: url.href,
    connectionsMax: 1,
    name: 'test',
    onFault: () => {},
  });
  onTestFinished(async () => {
    await close();
    await proxy.close();
    await database.drop();
  });
  await db.execute(sql`create table notes (text text not null)`);
  const loseOnce = (what: string) => {
    proxy.loseAnswerOf = (edge) => {
      if (edge.what !== what) return false;
      proxy.loseAnswerOf = null;
      return true;
    };
  };
  const write = (text: string) => db.transaction((tx) => tx.execute(sql`insert into notes values (${text})`));
  const texts = async () => (await db.execute(sql`select text from notes order by text`)).rows;
  return { db, pool, proxy, loseOnce, write, texts };
}

it('a transaction whose begin is not answered gives its connection back', async () => {
  const { pool, loseOnce, write, texts } = await setup();
  loseOnce('begin');
  const error = await write('lost').catch((thrown) => thrown);
  expect(isOutage(error)).toBe(true);
  expect([pool.totalCount, pool.waitingCount]).toEqual([0, 0]);
  await write('next');
  expect(await texts()).toEqual([{ text: 'next' }]);
});

it('a transaction whose commit is not answered is told as an outage, and has happened', async () => {
  const { loseOnce, write, texts } = await setup();
  loseOnce('commit');
  const error = await write('kept').catch((thrown) => thrown);
  expect(isOutage(error)).toBe(true);
  expect(await texts()).toEqual([{ text: 'kept' }]);
});

it('what failed in a transaction is told, also when its rollback is not answered', async () => {
  const { db, pool, proxy, write, texts } = await setup();
  const first = new Error('the reason');
  const failing = db.transaction(async (tx) => {
    await tx.execute(sql`insert into notes values ('undone')`);
    proxy.cut();
    throw first;
  });
  await expect(failing).rejects.toBe(first);
  expect(pool.idleCount).toBe(0);
  await write('next');
  expect(await texts()).toEqual([{ text: 'next' }]);
});

it('what failed in a transaction is undone, and its connection goes on', async () => {
  const { db, pool, write, texts } = await setup();
  const refused = db.transaction(async (tx) => {
    await tx.execute(sql`insert into notes values ('undone')`);
    await tx.execute(sql`insert into notes values (null)`);
  });
  await expect(refused).rejects.toThrow();
  expect([pool.totalCount, pool.idleCount]).toEqual([1, 1]);
  await write('next');
  expect(await texts()).toEqual([{ text: 'next' }]);
});
