/** What a newcomer sees first. Pure. */
export type BannerFacts = {
  address: string;
  dataDir: string;
  embedded: boolean;
  roles: readonly string[];
  version: string;
};

export function banner({ address, dataDir, embedded, roles, version }: BannerFacts): string {
  const lines = [
    '',
    `  Carillon ${version}${roles.length === 3 ? '' : ` (${roles.join(', ')})`}`,
    '',
    `  API    ${address}`,
    ...(roles.includes('api') ? [`  Docs   ${address}/docs`] : []),
    embedded ? `  Data   ${dataDir} (embedded Postgres)` : '  Data   Postgres at DATABASE_URL',
    '',
  ];
  if (roles.includes('api')) {
    lines.push(
      '  Try it: this calls an address every 5 seconds',
      '',
      `  curl -X POST ${address}/schedules -d '{"name": "ping", "every": "5s", "job": {"type": "task", "input": {"url": "${address}/healthz"}}}'`,
      `  curl ${address}/schedules/ping/runs`,
      '',
    );
  }
  return `${lines.join('\n')}\n`;
}
