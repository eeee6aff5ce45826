/** Mail, through the SMTP server of `CARILLON_SMTP_URL`. */
import { createTransport } from 'nodemailer';
import { messageOf } from '../errors.ts';
import { inWords, type Message } from './message.ts';
import type { Sent } from './sent.ts';

export interface MailSender {
  /** Never rejects. */
  send(id: string, to: string, message: Message): Promise<Sent>;
  close(): void;
}

/** The server's silence that is waited out, at each of its words; the URL may say otherwise. */
const silenceMsMax = 10_000;

export type MailSettings = { url: string; from: string };

export function createMailSender(settings: MailSettings): MailSender {
  const transport = createTransport({
    url: settings.url,
    connectionTimeout: silenceMsMax,
    greetingTimeout: silenceMsMax,
    socketTimeout: silenceMsMax,
    dnsTimeout: silenceMsMax,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return {
    async send(id, to, message) {
      const { subject, text } = inWords(message);
      try {
        await transport.sendMail({
          from: settings.from,
          // Not as text, in which a comma would make two addresses of one.
          to: { name: '', address: to },
          subject,
          text,
          // The same for every try, so that a reader's mailbox may tell a repetition.
          messageId: `<${id}@carillon>`,
          headers: { 'Auto-Submitted': 'auto-generated', 'X-Carillon-Type': message.type },
        });
        return { ok: true };
      } catch (error) {
        return { ok: false, error: messageOf(error), retryable: !isFinal(error) };
      }
    },
    close: () => transport.close(),
  };
}

/** A 5xx reply (RFC 5321, 4.2.1) about this mail or its receiver. One about us, at greeting or login, may be mended here. */
function isFinal(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false;
  const { responseCode, command } = error as { responseCode?: unknown; command?: unknown };
  const isRefused = typeof responseCode === 'number' && responseCode >= 500 && responseCode <= 599;
  return isRefused && ['RCPT TO', 'DATA'].includes(String(command));
}
