/** An SMTP server that keeps the mails it takes, and refuses what the test says. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { SMTPServer } from 'smtp-server';
import { onTestFinished } from 'vitest';

export type Mail = { from: string; to: string[]; text: string; user: string | null };

export type MailServer = {
  /** Without credentials. */
  host: string;
  mails: Mail[];
  /** Answers RCPT TO with this code from now on; null: takes it. */
  refuse(code: number | null): void;
};

/** Closed when the test has finished. It takes any user whose password is `password`. */
export async function startMailServer(password: string): Promise<MailServer> {
  const mails: Mail[] = [];
  let refusal: number | null = null;
  const server = new SMTPServer({
    authOptional: true,
    allowInsecureAuth: true,
    disabledCommands: ['STARTTLS'],
    onAuth: (auth, _session, done) =>
      auth.password === password ? done(null, { user: auth.username }) : done(new Error('wrong password')),
    onRcptTo: (_address, _session, done) =>
      refusal === null ? done() : done(Object.assign(new Error('not now'), { responseCode: refusal })),
    onData: async (stream, session, done) => {
      let text = '';
      for await (const chunk of stream) text += chunk;
      const { mailFrom, rcptTo } = session.envelope;
      mails.push({
        from: mailFrom === false ? '' : mailFrom.address,
        to: rcptTo.map(({ address }) => address),
        text,
        user: (session.user as string | undefined) ?? null,
      });
      done();
    },
  });
  server.on('error', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server.server, 'listening');
  onTestFinished(() => new Promise<void>((resolve) => server.close(() => resolve())));
  return {
    host: `127.0.0.1:${(server.server.address() as AddressInfo).port}`,
    mails,
    refuse: (code) => {
      refusal = code;
    },
  };
}
