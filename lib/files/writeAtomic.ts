/** Writes files that appear as a whole or not at all: each is written under a temporary name and then renamed. */
import { type FileHandle, open, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { CellsamError } from "../errors.js";
import { lazily } from "../lazily.js";
import { makeFolder } from "./folders.js";
import { replaceFile } from "./replaceFile.js";

const crypto = lazily<typeof import("node:crypto")>("node:crypto");

/** Writes a file, making its folder when needed. @throws CellsamError ERR_FILE */
export async function writeAtomic(path: string, bytes: Uint8Array | string): Promise<void> {
  await writeChunks(path, [bytes]);
}

/**
 * The same for a file in parts, of which about a megabyte is in memory at a time. What `chunks` throws passes through, and no
 * file is written. @throws CellsamError ERR_FILE
 */
export async function writeChunks(
  path: string,
  chunks: Iterable<Uint8Array | string> | AsyncIterable<Uint8Array | string>,
): Promise<void> {
  const file = await openAtomic(path);
  try {
    for await (const chunk of chunks) await file.write(chunk);
    await file.commit();
  } catch (error) {
    await file.discard();
    throw error;
  }
}

/** A file that is being written. One of `commit` and `discard` must end it. */
export interface AtomicFile {
  /** @throws CellsamError ERR_FILE, here and in `commit` */
  write(chunk: Uint8Array | string): Promise<void>;
  /** Gives the file its name. */
  commit(): Promise<void>;
  /** Leaves nothing behind. Without effect after `commit`. */
  discard(): Promise<void>;
}

const BUFFERED = 1 << 20;

/** Begins a file that appears under its name when it is complete; makes its folder. @throws CellsamError ERR_FILE */
export async function openAtomic(path: string): Promise<AtomicFile> {
  // A short name of its own: the target's name may already be at the limit of 255 bytes.
  const temporary = join(dirname(path), `.${crypto().randomUUID()}.tmp`);
  const guarded = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw new CellsamError("ERR_FILE", `${path} could not be written (${(error as Error).message})`, {
        detail: { path },
        cause: error,
      });
    }
  };
  let file: FileHandle | undefined = await guarded(async () => {
    await makeFolder(dirname(path));
    return open(temporary, "wx");
  });
  let waiting: Uint8Array[] = [];
  let size = 0;
  const flush = async () => {
    const [only] = waiting;
    const bytes = waiting.length === 1 && only ? only : Buffer.concat(waiting);
    waiting = [];
    size = 0;
    await file?.writeFile(bytes);
  };
  const close = async () => {
    const closing = file;
    file = undefined;
    await closing?.close();
  };
  return {
    write: async (chunk) => {
      const bytes = typeof chunk === "string" ? Buffer.from(chunk) : chunk;
      waiting.push(bytes);
      size += bytes.length;
      if (size >= BUFFERED) await guarded(flush);
    },
    commit: () =>
      guarded(async () => {
        await flush();
        await file?.sync();
        await close();
        await replaceFile(temporary, path);
      }),
    discard: async () => {
      await close().catch(() => undefined);
      await rm(temporary, { force: true }).catch(() => undefined);
    },
  };
}
