/** Finds the known name closest to a mistyped one, for error messages. */

/** Levenshtein distance of two strings: the number of inserted, removed or replaced characters. */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replace, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}

/** The name nearest to `typed`, or undefined when none is closer than half of its length. Case and underscores are ignored. */
export function nearest(typed: string, names: Iterable<string>): string | undefined {
  const plain = (name: string) => name.toLowerCase().replaceAll("_", "");
  let best: string | undefined;
  let bestDistance = Math.max(2, typed.length / 2);
  for (const name of names) {
    const distance = editDistance(plain(typed), plain(name));
    if (distance < bestDistance) {
      best = name;
      bestDistance = distance;
    }
  }
  return best;
}
