/** The task queues that have workers of their own, kept fresh for whoever rings: everything else goes to `default`. */
import type { Db } from '../db/client.ts';
import { servedTaskQueues } from '../db/worker-store.ts';

export type ServedQueues = {
  /** As of the last refresh; the process' own queues are always among them. */
  names(): readonly string[];
  refresh(): Promise<void>;
};

export const refreshServedEveryMs = 5000;

export function createServedQueues(db: Db, own: readonly string[]): ServedQueues {
  let names: readonly string[] = own;
  return {
    names: () => names,
    async refresh() {
      names = [...new Set([...own, ...(await servedTaskQueues(db)).keys()])];
    },
  };
}
