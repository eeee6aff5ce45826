/** What somebody meant who misspelt a name. Pure. */

/** Names longer than any of ours are none that was misspelt. */
const lengthMax = 40;

/** Finds the name that is most like this one, whatever its case and its dashes: a slip away for each three letters, at most two. */
export type NearestName = (given: string) => string | null;

export function nearestAmong(names: readonly string[]): NearestName {
  const known = names.map((name) => ({ name, bare: bareOf(name) }));
  return (given) => {
    if (given.length > lengthMax) return null;
    const asked = bareOf(given);
    let nearest: string | null = null;
    let slipsMax = 2;
    for (const { name, bare } of known) {
      const most = Math.min(slipsMax, Math.floor(Math.min(given.length, name.length) / 3));
      const slips = slipsBetween(asked, bare, most);
      if (slips > most) continue;
      nearest = name;
      // Of equals the first.
      slipsMax = slips - 1;
    }
    return nearest;
  };
}

function bareOf(name: string): string {
  return name.toLowerCase().replaceAll(/[-_]/g, '');
}

/**
 * Letters that were left out, added, changed or exchanged with their neighbour (optimal string alignment), or something
 * above `most`. A document may have a thousand misspelt names, and each is held against some hundreds: so it ends as soon as
 * there are too many.
 */
function slipsBetween(a: string, b: string, most: number): number {
  if (Math.abs(a.length - b.length) > most) return most + 1;
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    let leastOfRow = i;
    for (let j = 1; j <= b.length; j += 1) {
      const differ = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + differ);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        least = Math.min(least, before[j - 2]! + 1);
      row.push(least);
      leastOfRow = Math.min(leastOfRow, least);
    }
    // An exchange looks back by two rows.
    if (leastOfRow > most && Math.min(...last) > most) return most + 1;
    before = last;
    last = row;
  }
  return last[b.length]!;
}
