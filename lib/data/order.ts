/** An order of file names that is the same on every system and in every locale: by their UTF-8 bytes. */

export function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** A sorted copy. */
export function byBytes(names: Iterable<string>): string[] {
  return [...names].sort(compareBytes);
}
