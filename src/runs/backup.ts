/** A backup as the house knows it. Pure types. */

export const backupKinds = ['full', 'incremental'] as const;
export type BackupKind = (typeof backupKinds)[number];

/** `writing`: its run is at it, or has left it so; `written`: whole, and not looked at yet. */
export const backupStatuses = ['writing', 'written', 'valid', 'damaged'] as const;

/** What is known of a backup when it is begun. */
export type NewBackup = {
  scheduleId: string;
  scheduleName: string;
  runId: string;
  kind: BackupKind;
  sourceKind: 'directory' | 'postgres';
  /** Without credentials. */
  source: string;
  /** The folder or bucket, and the names in it. */
  location: string;
  object: string;
  manifest: string | null;
  baseId: string | null;
};

export type Backup = NewBackup & {
  /** `backup-YYYYMMDDHHMMSS`, UTC. */
  id: string;
  status: (typeof backupStatuses)[number];
  /** Of the object, as it is stored. */
  bytes: number | null;
  sha256: string | null;
  manifestSha256: string | null;
  createdAtMs: number;
  finishedAtMs: number | null;
};

/**
 * The backups that are needed to restore one: it, and what it goes on from, the full one first. Null when one of them is
 * missing or damaged.
 */
export function chainOf(id: string, all: ReadonlyMap<string, Backup>): Backup[] | null {
  const chain: Backup[] = [];
  for (let at: string | null = id; at !== null; ) {
    const backup = all.get(at);
    if (backup === undefined || backup.status === 'writing' || backup.status === 'damaged') return null;
    // A base is older than what goes on from it, so this ends.
    chain.unshift(backup);
    at = backup.baseId;
  }
  return chain;
}

/**
 * What may go of a schedule's backups: older than `beforeMs`, and neither the last good one nor what a kept one goes on
 * from. Unfinished ones go too, but for that of the run itself. The newest first, so that none is taken from under
 * another.
 */
export function expired(all: readonly Backup[], beforeMs: number, runId: string): Backup[] {
  const byId = new Map(all.map((backup) => [backup.id, backup]));
  const good = all.filter((backup) => backup.status === 'valid' && chainOf(backup.id, byId) !== null);
  const kept = new Set<string>();
  for (const backup of all) {
    const isOld = backup.createdAtMs < beforeMs;
    if (isOld && backup !== good.at(-1) && backup.runId !== runId) continue;
    for (let at: string | null = backup.id; at !== null; at = byId.get(at)?.baseId ?? null) kept.add(at);
  }
  return all.filter((backup) => !kept.has(backup.id)).sort((a, b) => (a.id < b.id ? 1 : -1));
}
