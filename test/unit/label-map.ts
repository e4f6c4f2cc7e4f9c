import type { NdArray } from "../../lib/engine/native.js";

/** A label map drawn in text, a letter a pixel: its id in base 36, "." for 0, "-" for -1. */
export function labels(...rows: string[]): NdArray<Int32Array> {
  const id = (letter: string) => (letter === "." ? 0 : letter === "-" ? -1 : Number.parseInt(letter, 36));
  return { data: Int32Array.from(rows.join("").split(""), id), shape: [rows.length, rows[0]?.length ?? 0] };
}
