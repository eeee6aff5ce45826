/** The connections of this process to its database, shared out so that none of its parts can starve another. */
import type pg from 'pg';
import { type Database, openDatabase, openPool } from './db/client.ts';

export type Connections = {
  /** Of everything but the two below. */
  house: Database;
  /** Of callers of the API. */
  api: Database;
  /** Null in a process that executes nothing. */
  graphile: pg.Pool | null;
  /** Rejects when one of them did not close in order; the others are closed all the same. */
  close(): Promise<void>;
};

export type ConnectionsOptions = {
  databaseUrl: string;
  /** At most so many, all together; a few more where that is too few to work with. */
  connectionsMax: number;
  /** How many graphile pools there are; null: none. */
  graphilePools: number | null;
  onFault(error: Error): void;
};

/** Graphile's pools get this share, at least enough to listen. */
const graphileShare = 0.4;
/**
 * Of the rest, what callers of the API may hold, all together: however many wait for one schedule's lock, fires, leases
 * and the clock have connections of their own.
 */
const callersShare = 0.4;
/** For the house and its callers together. */
const othersMin = 6;

export function openConnections({
  databaseUrl: url,
  connectionsMax,
  graphilePools,
  onFault,
}: ConnectionsOptions): Connections {
  const ofGraphile =
    graphilePools === null ? 0 : Math.max(graphilePools + 1, Math.floor(connectionsMax * graphileShare));
  const others = Math.max(othersMin, connectionsMax - ofGraphile);
  const callers = Math.floor(others * callersShare);
  const house = openDatabase({
    url,
    connectionsMax: others - callers,
    name: 'carillon',
    plansOnce: true,
    onFault,
  });
  const api = openDatabase({ url, connectionsMax: callers, name: 'carillon api', onFault });
  const graphile =
    graphilePools === null
      ? null
      : openPool({
          url,
          connectionsMax: ofGraphile,
          name: 'carillon graphile',
          // Doorbells are not the truth: one that a crash brings back finds nothing to claim.
          durable: false,
          // Four instants to each doorbell; parsing them would cost a twentieth of a run.
          parsesInstants: false,
          onFault,
        });
  return {
    house,
    api,
    graphile,
    async close() {
      const closed = await Promise.allSettled([graphile?.end(), house.close(), api.close()]);
      for (const each of closed) if (each.status === 'rejected') throw each.reason;
    },
  };
}
