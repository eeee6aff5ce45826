/** What a newcomer sees first. Pure. */
export type BannerFacts = {
  address: string;
  dataDir: string;
  embedded: boolean;
  /** Where the embedded Postgres has its files, if not in the data directory. */
  filesElsewhere: string | null;
  /** Requests need the API key. */
  keyed: boolean;
  roles: readonly string[];
  version: string;
};

const apiKeyHeader = ' -H "Authorization: Bearer $CARILLON_API_KEY"';

export function banner(facts: BannerFacts): string {
  const { address, keyed, roles, version } = facts;
  const curl = `curl${keyed ? apiKeyHeader : ''}`;
  const lines = [
    '',
    `  Carillon ${version}${roles.length === 3 ? '' : ` (${roles.join(', ')})`}`,
    '',
    ...(roles.includes('api')
      ? [`  API    ${address}`, `  Docs   ${address}/docs`]
      : [`  Health ${address}/readyz`]),
    `  Data   ${dataAt(facts)}`,
    '',
  ];
  if (roles.includes('api')) {
    lines.push(
      '  Try it: this calls an address every 5 seconds',
      '',
      `  ${curl} -X POST ${address}/schedules -d '{"name": "ping", "every": "5s", "job": {"type": "task", "input": {"url": "${address}/healthz"}}}'`,
      `  ${curl} ${address}/schedules/ping/runs`,
      '',
    );
  }
  return `${lines.join('\n')}\n`;
}

function dataAt({ dataDir, embedded, filesElsewhere }: BannerFacts): string {
  if (!embedded) return 'Postgres at DATABASE_URL';
  if (filesElsewhere === null) return `${dataDir} (embedded Postgres)`;
  return `${dataDir} (embedded Postgres, its files in ${filesElsewhere})`;
}
