/**
 * What a benchmark is. A *bench* opens a session, which has one or more *contenders*: Carillon, and the peers that do
 * the same work. The runner lets each of them do one *round* after the other, again and again, so that whatever
 * the machine does meanwhile hits all alike; a round gives *figures*. What they mean and what they should be stands in the
 * bench, what became of them is computed by `report.ts`.
 */

/** The contender that goals are about. */
export const us = 'carillon';

/** Of one round, by the names that the bench declares. */
export type Figures = Readonly<Record<string, number>>;

export type Contender = {
  name: string;
  /** How it was set up, and how it was measured; for the reader of the results. */
  note?: string;
  /** Why it is not measured here. Then it has no rounds. */
  absent?: string;
  round?(): Promise<Figures>;
};

export type FigureKind = { title: string; unit: string };

/**
 * `least`, `most`: bounds of our median. With `against` they bound the ratio of our figure to the peer's, round by round,
 * by its median.
 */
export type Goal = { figure: string; least?: number; most?: number; against?: string };

export type BenchSettings = {
  /** Small sizes, to see that it works. Not for judging. */
  isQuick: boolean;
};

export type Session = { contenders: readonly Contender[]; close(): Promise<void> };

export type Bench = {
  name: string;
  /** What is measured, from when to when, and of what size. */
  about: string;
  figures: Readonly<Record<string, FigureKind>>;
  goals: readonly Goal[];
  /** Of a whole run of five rounds on 2 cores. */
  secondsAbout: number;
  /** Not part of a run that names no benches. */
  isExtra?: boolean;
  open(settings: BenchSettings): Promise<Session>;
};

export type ContenderResult = { name: string; note?: string; absent?: string; rounds: Figures[] };

export type BenchResult = Pick<Bench, 'name' | 'about' | 'figures' | 'goals'> & {
  contenders: ContenderResult[];
  seconds: number;
  /** It ended with this fault; what was measured before it is kept. */
  fault?: string;
};

/**
 * A session of things that are closed with it, what was opened last first; also when opening fails half-way, as a
 * Postgres or a node that is left running would be in the way of all benches after it.
 */
export async function openSession(
  open: (opened: AsyncDisposableStack) => Promise<readonly Contender[]>,
): Promise<Session> {
  await using opened = new AsyncDisposableStack();
  const contenders = await open(opened);
  const kept = opened.move();
  return { contenders, close: () => kept.disposeAsync() };
}

/** For a bench that has nothing to keep between its rounds. */
export function sessionOf(...contenders: Contender[]): Session {
  return { contenders, close: async () => undefined };
}
