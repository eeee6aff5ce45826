/**
 * What schedules need to know of job types; `jobs/registry.ts` provides it. It stands here so that nothing in
 * `schedules` imports `jobs`.
 */
import type { Issue } from '../errors.ts';
import type { RetryPolicy } from '../runs/retry-policy.ts';

export type JobTypeInfo = {
  type: string;
  description: string;
  taskQueue: string;
  timeoutMs: number;
  retry: RetryPolicy;
  /** JSON Schemas (draft 2020-12). */
  inputSchema: Record<string, unknown>;
  outputSchema: Record<string, unknown>;
  example: unknown;
};

export interface JobCatalog {
  list(): readonly JobTypeInfo[];
  find(type: string): JobTypeInfo | undefined;
  /** What is wrong with the input, pointers relative to it (`/url`); empty when it fits. The input is kept as given. */
  check(type: string, input: unknown): readonly Issue[];
}
