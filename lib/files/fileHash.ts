/** SHA-256, by which caches, checkpoints and installations recognise what they hold. */
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { lazily } from "../lazily.js";

const crypto = lazily<typeof import("node:crypto")>("node:crypto");

/** SHA-256 of a file, in hex. */
export async function fileHash(path: string): Promise<string> {
  const hash = crypto().createHash("sha256");
  // With the default chunks of 64 KiB a third of the time is overhead between chunks.
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest("hex");
}

/** SHA-256 of a text, in hex. */
export function textHash(text: string): string {
  return crypto().createHash("sha256").update(text).digest("hex");
}
