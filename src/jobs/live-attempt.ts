/** An attempt in flight, as those reach it who end it from outside. */
import type { Abortable } from './abortable.ts';
import { type FaultyAttempt, inAttempt } from './stray-faults.ts';

/** Why an attempt is ended from outside. */
export type AbortReason = 'timeout' | 'cancel' | 'lease_lost' | 'shutdown' | 'stray_fault';

/** What an attempt is aborted with. */
export class AttemptAborted extends Error {
  readonly why: AbortReason;
  constructor(why: AbortReason, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'AttemptAborted';
    this.why = why;
  }
}

/** Light, since a herd makes them by the thousand: what most of them never need is made when it is asked for. */
export class LiveAttempt implements Abortable {
  stopRequested = false;
  /** Once the job is called: what its listeners of the signal throw is its own fault too (stray-faults.ts). */
  faulty: FaultyAttempt | null = null;
  #reason: AttemptAborted | null = null;
  #controller: AbortController | null = null;
  #onAbort: (() => void) | null = null;

  /** Null while nobody has aborted it. */
  get reason(): AttemptAborted | null {
    return this.#reason;
  }

  /** The same, for jobs. */
  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#reason !== null) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** The first time counts. */
  abort(why: AbortReason, message: string, cause?: unknown): void {
    if (this.#reason !== null) return;
    this.#reason = new AttemptAborted(why, message, cause);
    const onAbort = this.#onAbort;
    this.#onAbort = null;
    onAbort?.();
    const tellJob = () => this.#controller?.abort(this.#reason);
    if (this.faulty === null) tellJob();
    else inAttempt(this.faulty, tellJob);
  }

  throwIfAborted(): void {
    if (this.#reason !== null) throw this.#reason;
  }

  heed(onAbort: () => void): void {
    if (this.#reason !== null) onAbort();
    else this.#onAbort = onAbort;
  }

  unheed(): void {
    this.#onAbort = null;
  }
}
