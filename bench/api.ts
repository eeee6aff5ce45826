/** The API under load, beside a bare Fastify that writes and reads the same tables. */
import { migrate } from '../src/db/migrate.ts';
import { type Bench, openSession, type Session, us } from './measurement.ts';
import { cpuMs, startDatabase, startNode } from './support/bench-service.ts';
import { type LoadRequest, load } from './support/http-load.ts';
import { startPeer } from './support/peer-program.ts';

const connections = 16;
/** What Carillon has for its callers, by its defaults. */
const databaseConnections = 10;
const bare = 'bare Fastify + pg';

type Place = { address: string; ids: string[]; next: number };

const figures = {
  perSecond: { title: 'answered', unit: 'requests/s' },
  p99Ms: { title: 'p99', unit: 'ms' },
  cpuMs: { title: 'CPU of the server for each', unit: 'ms' },
};
const manner = `Over ${connections} connections, one request at a time on each; both servers up, on databases of one Postgres.`;

export const createBench: Bench = {
  name: 'api-create',
  about: `POST /schedules with a cron expression. ${manner}`,
  figures,
  goals: [{ figure: 'perSecond', least: 0.5, against: bare }],
  secondsAbout: 45,
  open: ({ isQuick }) => open({ expected: 201, request: creation, seconds: isQuick ? 1 : 3 }),
};

export const readBench: Bench = {
  name: 'api-read',
  about: `GET /schedules/{id} of one of 1,000 schedules. ${manner}`,
  figures,
  goals: [{ figure: 'perSecond', least: 0.7, against: bare }],
  secondsAbout: 45,
  open: ({ isQuick }) => open({ expected: 200, request: reading, seconds: isQuick ? 1 : 3 }),
};

function open(measured: {
  expected: number;
  request: (place: Place) => LoadRequest;
  seconds: number;
}): Promise<Session> {
  const { expected, request, seconds } = measured;
  return openSession(async (opened) => {
    const database = await startDatabase();
    opened.defer(database.stop);
    await database.pool.query('create database bare');
    const bareUrl = new URL(database.url);
    bareUrl.pathname = '/bare';
    await migrate(bareUrl.href);
    const node = await startNode(database);
    opened.defer(node.stop);
    const args = { url: bareUrl.href, connections: databaseConnections };
    const peer = await startPeer<{ address: string }>('bare-server.ts', args);
    opened.defer(peer.stop);
    const contenders = [
      { name: us, pid: node.pid, place: await settle(node.address) },
      { name: bare, pid: peer.pid, place: await settle(peer.told.address) },
    ].map(({ name, pid, place }) => {
      const round = async (forSeconds = seconds) => {
        const usedMs = await cpuMs(pid);
        const { perSecond, p99Ms, answers } = await load(place.address, {
          connections,
          seconds: forSeconds,
          expected,
          next: () => request(place),
        });
        return { perSecond, p99Ms, cpuMs: ((await cpuMs(pid)) - usedMs) / answers };
      };
      return { name, round };
    });
    for (const contender of contenders) await contender.round(seconds / 2);
    return contenders.map(({ name, round }) => ({ name, round: () => round() }));
  });
}

/** A thousand schedules to read. */
async function settle(address: string): Promise<Place> {
  const place: Place = { address, ids: [], next: 0 };
  const create = async () => {
    while (place.next < 1000) {
      const { method, path, body } = creation(place);
      const headers = { 'content-type': 'application/json' };
      const answer = await fetch(`${address}${path}`, { method, body: body!, headers });
      if (answer.status !== 201) throw new Error(await answer.text());
      place.ids.push(((await answer.json()) as { id: string }).id);
    }
  };
  await Promise.all(Array.from({ length: connections }, create));
  return place;
}

function creation(place: Place): LoadRequest {
  place.next += 1;
  const schedule = {
    name: `schedule-${place.next}`,
    cron: `${place.next % 60} 2 * * *`,
    timezone: 'Asia/Shanghai',
    job: { type: 'task', input: { url: 'http://127.0.0.1:9/' } },
  };
  return { method: 'POST', path: '/schedules', body: JSON.stringify(schedule) };
}

function reading(place: Place): LoadRequest {
  place.next += 1;
  return { method: 'GET', path: `/schedules/${place.ids[place.next % place.ids.length]}` };
}
