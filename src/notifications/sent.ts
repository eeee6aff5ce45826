/** What became of one try to send. */
export type Sent =
  | { ok: true }
  | {
      ok: false;
      /** For readers; may have secrets in it, which whoever opened them takes out. */
      error: string;
      /** False: trying again would not help. */
      retryable: boolean;
      /** The least wait that the receiver asked for. */
      retryAfterMs?: number;
    };
