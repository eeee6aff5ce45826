import { expect, it } from 'vitest';
import { createMetrics } from '../src/metrics.ts';

it('what is not a number yet has no line', async () => {
  const text = await createMetrics(() => Number.NaN).render();
  expect(text).toContain('# TYPE carillon_live_attempts gauge\n');
  expect(text).not.toMatch(/ nan$/im);
  expect(text).toMatch(/^carillon_retries_total 0$/m);
  expect(await createMetrics(() => 3).render()).toMatch(/^carillon_live_attempts 3$/m);
});
