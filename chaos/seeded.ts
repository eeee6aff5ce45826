/** Chance that can be repeated: everything a chaos run chooses comes from here, and from one printed seed. Pure. */

export type Seeded = {
  /** In [0, 1). */
  next(): number;
  /** A whole number, both ends included. */
  int(min: number, max: number): number;
  pick<T>(from: readonly T[]): T;
  chance(probability: number): boolean;
  shuffle<T>(items: readonly T[]): T[];
};

/** `part` gives each part of a plan chances of its own, so that a change of one leaves the others as they were. */
export function seeded(seed: number, part: string): Seeded {
  let state = hash(`${seed}/${part}`);
  // mulberry32 (Tommy Ettinger, public domain): 32 bits of state are plenty for a plan.
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const int = (min: number, max: number) => min + Math.floor(next() * (max - min + 1));
  return {
    next,
    int,
    pick: (from) => from[int(0, from.length - 1)]!,
    chance: (probability) => next() < probability,
    shuffle(items) {
      const left = [...items];
      for (let at = left.length - 1; at > 0; at -= 1) {
        const other = int(0, at);
        [left[at], left[other]] = [left[other]!, left[at]!];
      }
      return left;
    },
  };
}

/** FNV-1a, 32 bits; also what the witness draws its failures by. */
export function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  return value >>> 0;
}
