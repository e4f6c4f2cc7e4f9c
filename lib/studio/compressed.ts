/** Answers that are worth it are compressed: lists of cells, labels. */
import { promisify } from "node:util";
import { gzip } from "node:zlib";

const gzipped = promisify(gzip);
/** Below this a packet more or less makes no difference. */
const leastBytes = 2048;

/** "gzip" where the client takes it and the answer is large, else null. */
export function acceptedEncoding(accepted: unknown, bytes: number): "gzip" | null {
  const takes = typeof accepted === "string" && /(^|[\s,])gzip(?!\s*;\s*q=0(\.0*)?\s*(,|$))/i.test(accepted);
  return takes && bytes >= leastBytes ? "gzip" : null;
}

export function compressed(body: Buffer | string): Promise<Buffer> {
  return gzipped(body, { level: 1 });
}
