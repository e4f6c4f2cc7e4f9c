/** Reads of files and folders that may be missing, which is no error where they are asked for. */
import { readdirSync, readFileSync } from "node:fs";

/** null for a file that cannot be read. */
export function textOrNull(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

/** Names of files and folders; none of a folder that cannot be read. */
export function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
