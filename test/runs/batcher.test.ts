import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { createBatcher } from '../../src/runs/batcher.ts';

/** A batcher whose writes end when the test says so. */
function setup(options: { batchSizeMax?: number; inFlightMax?: number } = {}) {
  const batches: { items: readonly number[]; answer(): void; refuse(error: Error): void }[] = [];
  const batcher = createBatcher<number, string>({
    batchSizeMax: options.batchSizeMax ?? 100,
    inFlightMax: options.inFlightMax ?? 1,
    write: (items) =>
      new Promise((resolve, reject) => {
        batches.push({
          items,
          answer: () => resolve(items.map((item) => `wrote ${item}`)),
          refuse: reject,
        });
      }),
  });
  return { batcher, batches };
}

describe('the batcher', () => {
  it('writes what is added in one turn together, and gives each its own answer', async () => {
    const { batcher, batches } = setup();
    const answers = Promise.all([1, 2, 3].map((item) => batcher.add(item)));
    await turn();
    expect(batches.map((batch) => batch.items)).toEqual([[1, 2, 3]]);
    batches[0]!.answer();
    expect(await answers).toEqual(['wrote 1', 'wrote 2', 'wrote 3']);
  });

  it('writes a single item without waiting for others', async () => {
    const { batcher, batches } = setup();
    const answer = batcher.add(1);
    await turn();
    batches[0]!.answer();
    expect(await answer).toBe('wrote 1');
  });

  it('gathers while a batch is being written, and writes the next when it is', async () => {
    const { batcher, batches } = setup();
    const first = batcher.add(1);
    await turn();
    const others = [2, 3].map((item) => batcher.add(item));
    await turn();
    expect(batches).toHaveLength(1);
    batches[0]!.answer();
    await first;
    await turn();
    expect(batches[1]!.items).toEqual([2, 3]);
    batches[1]!.answer();
    expect(await Promise.all(others)).toEqual(['wrote 2', 'wrote 3']);
  });

  it('writes no more at once than a batch holds', async () => {
    const { batcher, batches } = setup({ batchSizeMax: 2 });
    const answers = [1, 2, 3, 4, 5].map((item) => batcher.add(item));
    for (let n = 0; n < 3; n += 1) {
      await turn();
      expect(batches).toHaveLength(n + 1);
      batches[n]!.answer();
      await turn();
    }
    await Promise.all(answers);
    expect(batches.map((batch) => batch.items)).toEqual([[1, 2], [3, 4], [5]]);
  });

  it('writes several batches at once when it may', async () => {
    const { batcher, batches } = setup({ batchSizeMax: 1, inFlightMax: 2 });
    const answers = [1, 2, 3].map((item) => batcher.add(item));
    await turn();
    expect(batches).toHaveLength(2);
    batches[1]!.answer();
    expect(await answers[1]).toBe('wrote 2');
    await turn();
    expect(batches[2]!.items).toEqual([3]);
    batches[0]!.answer();
    batches[2]!.answer();
    await Promise.all(answers);
  });

  it('fails only those whose batch failed, and goes on', async () => {
    const { batcher, batches } = setup({ batchSizeMax: 2 });
    const answers = [1, 2, 3].map((item) => batcher.add(item));
    const outcomes = Promise.allSettled(answers);
    await turn();
    batches[0]!.refuse(new Error('the database is away'));
    await Promise.allSettled(answers.slice(0, 2));
    await turn();
    batches[1]!.answer();
    expect((await outcomes).map((outcome) => outcome.status)).toEqual(['rejected', 'rejected', 'fulfilled']);
    const again = batcher.add(4);
    await turn();
    batches[2]!.answer();
    expect(await again).toBe('wrote 4');
  });

  it('fails those of a batch whose write throws at once', async () => {
    const batcher = createBatcher<number, number>({
      batchSizeMax: 10,
      inFlightMax: 1,
      write: () => {
        throw new Error('not even begun');
      },
    });
    await expect(batcher.add(1)).rejects.toThrow('not even begun');
    expect(batcher.pending).toBe(0);
  });

  it('counts what waits and what is being written, and is drained when there is nothing', async () => {
    const { batcher, batches } = setup({ batchSizeMax: 2 });
    await batcher.drained();
    const answers = [1, 2, 3].map((item) => batcher.add(item));
    expect(batcher.pending).toBe(3);
    let drained = false;
    const end = batcher.drained().then(() => {
      drained = true;
    });
    await turn();
    batches[0]!.answer();
    await answers[1];
    await turn();
    expect(batcher.pending).toBe(1);
    expect(drained).toBe(false);
    batches[1]!.answer();
    await end;
    expect(batcher.pending).toBe(0);
  });

  it('is drained too when the last batch failed', async () => {
    const { batcher, batches } = setup();
    const answer = batcher.add(1).catch((error: Error) => error.message);
    const end = batcher.drained();
    await turn();
    batches[0]!.refuse(new Error('no'));
    await end;
    expect(await answer).toBe('no');
  });

  it('gives every one of many an answer, whatever the order of the writes', async () => {
    const batcher = createBatcher<number, number>({
      batchSizeMax: 7,
      inFlightMax: 3,
      async write(items) {
        for (let n = 0; n < (items[0] ?? 0) % 4; n += 1) await turn();
        return items.map((item) => item * 2);
      },
    });
    const items = Array.from({ length: 1000 }, (_, n) => n);
    const answers = await Promise.all(
      items.map(async (item) => {
        if (item % 10 === 0) await turn();
        return await batcher.add(item);
      }),
    );
    expect(answers).toEqual(items.map((item) => item * 2));
    expect(batcher.pending).toBe(0);
  });
});
