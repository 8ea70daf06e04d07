/** The name that a person most likely meant: what an error proposes after a typing mistake. */

/** Number of insertions, deletions and replacements between two short texts. */
function distance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= right.length; j += 1) {
      const replace = row[j - 1]! + (left[i - 1] === right[j - 1] ? 0 : 1);
      next.push(Math.min(replace, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[right.length]!;
}

/**
 * @returns the nearest of `names`, or `null` when none is near: more than a third of the letters differ.
 * Longer texts than 100 characters are cut first, so that a hostile name costs little.
 */
export function nearest(given: string, names: readonly string[]): string | null {
  const text = given.slice(0, 100).toLowerCase();
  let best: string | null = null;
  let least = Number.POSITIVE_INFINITY;
  for (const name of names) {
    const steps = distance(text, name.slice(0, 100).toLowerCase());
    if (steps < least) [best, least] = [name, steps];
  }
  return best !== null && least <= Math.max(1, Math.floor(Math.max(text.length, best.length) / 3)) ? best : null;
}
