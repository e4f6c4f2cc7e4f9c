/** Writes files that appear as a whole or not at all: each is written under a temporary name and then renamed. */
import { mkdir, open, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { CellsamError } from "../errors.js";
import { lazily } from "../lazily.js";
import { replaceFile } from "./replaceFile.js";

const crypto = lazily<typeof import("node:crypto")>("node:crypto");

/** Writes a file, making its folder when needed. @throws CellsamError ERR_FILE */
export async function writeAtomic(path: string, bytes: Uint8Array | string): Promise<void> {
  // A short name of its own: the target's name may already be at the limit of 255 bytes.
  const temporary = join(dirname(path), `.${crypto().randomUUID()}.tmp`);
  try {
    await mkdir(dirname(path), { recursive: true });
    const file = await open(temporary, "wx");
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await replaceFile(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw new CellsamError("ERR_FILE", `${path} could not be written (${(error as Error).message})`, {
      detail: { path },
      cause: error,
    });
  }
}
