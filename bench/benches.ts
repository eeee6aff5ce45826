/** All benches, in the order in which they are run. One more is one more line here. */
import { createBench, readBench } from './api.ts';
import { dispatchBench, herdBench } from './herd.ts';
import type { Bench } from './measurement.ts';

export const benches: readonly Bench[] = [herdBench, createBench, readBench, dispatchBench];
