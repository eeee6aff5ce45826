/** Small writes that go on while the next entry is read: some at a time, and their faults told later. */
export class WritesAside {
  readonly #atOnceMax: number;
  readonly #running = new Set<Promise<void>>();
  #fault: { error: unknown } | null = null;

  constructor(atOnceMax: number) {
    this.#atOnceMax = atOnceMax;
  }

  /** Begins `write` in any case, and returns when there is room for one more. Throws the first fault. */
  async add(write: () => Promise<void>): Promise<void> {
    const running: Promise<void> = write()
      .catch((error: unknown) => {
        this.#fault ??= { error };
      })
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
    if (this.#running.size >= this.#atOnceMax) await Promise.race(this.#running);
    this.#throwFault();
  }

  /** Until none is running. Throws the first fault. */
  async settled(): Promise<void> {
    await this.over();
    this.#throwFault();
  }

  /** Until none is running, whatever came of them. */
  async over(): Promise<void> {
    await Promise.all(this.#running);
  }

  #throwFault(): void {
    if (this.#fault) throw this.#fault.error;
  }
}
