/** What somebody meant who misspelt a name. Pure. */

/** Names longer than any of ours are none that was misspelt. */
const lengthMax = 40;

/** The name that is most like this one, whatever its case and its dashes: a slip away for each three letters, at most two. */
export function nearestName(given: string, known: readonly string[]): string | null {
  if (given.length > lengthMax) return null;
  let best: { name: string; slips: number } | null = null;
  for (const name of known) {
    const slipsMax = Math.min(2, Math.floor(Math.min(given.length, name.length) / 3));
    const slips = slipsBetween(bareOf(given), bareOf(name));
    if (slips <= slipsMax && slips < (best?.slips ?? Infinity)) best = { name, slips };
  }
  return best?.name ?? null;
}

function bareOf(name: string): string {
  return name.toLowerCase().replaceAll(/[-_]/g, '');
}

/** Letters that were left out, added, changed or exchanged with their neighbour (optimal string alignment). */
function slipsBetween(a: string, b: string): number {
  const rows = Array.from({ length: a.length + 1 }, (_, i) => [i, ...new Array<number>(b.length).fill(0)]);
  for (let j = 0; j <= b.length; j += 1) rows[0]![j] = j;
  for (let i = 1; i <= a.length; i += 1) {
    for (let j = 1; j <= b.length; j += 1) {
      const differ = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min(rows[i - 1]![j]! + 1, rows[i]![j - 1]! + 1, rows[i - 1]![j - 1]! + differ);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        least = Math.min(least, rows[i - 2]![j - 2]! + 1);
      rows[i]![j] = least;
    }
  }
  return rows[a.length]![b.length]!;
}
