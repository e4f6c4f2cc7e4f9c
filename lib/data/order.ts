/** One order for names of files on every system and in every language: by the bytes of their UTF-8. */

export function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** A sorted copy. */
export function byBytes(names: Iterable<string>): string[] {
  return [...names].sort(compareBytes);
}
