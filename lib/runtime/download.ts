/**
 * Downloads one large file over HTTP(S): honours HTTPS_PROXY, HTTP_PROXY and NO_PROXY, and goes on where a cut connection
 * stopped.
 */
import { createWriteStream } from "node:fs";
import { stat } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { EnvHttpProxyAgent } from "undici";
import { CellsamError } from "../errors.js";
import { lazily } from "../lazily.js";

const undici = lazily<typeof import("undici")>("undici");

export interface DownloadOptions {
  /** Called with the bytes so far and the whole size, where the server tells it. */
  onProgress?: (bytes: number, total: number | null) => void;
  signal?: AbortSignal;
  /** Connections that may break before the download fails. */
  attempts?: number;
}

/** A connection that gives nothing for so long is taken for broken, and another one goes on. */
const stallMs = 60_000;

/** Fetches `url` into `path`, appending to what an earlier try left there. Throws ERR_DOWNLOAD. */
export async function download(url: string, path: string, options: DownloadOptions = {}): Promise<void> {
  // Plain HTTP in the open: many proxies let a tunnel through to port 443 alone.
  const dispatcher = new (undici().EnvHttpProxyAgent)({ proxyTunnel: false, headersTimeout: stallMs, bodyTimeout: stallMs });
  try {
    let failure: unknown;
    for (let attempt = 0; attempt < (options.attempts ?? 5); attempt += 1) {
      options.signal?.throwIfAborted();
      let gave = false;
      const onProgress = (bytes: number, total: number | null) => {
        gave = true;
        options.onProgress?.(bytes, total);
      };
      try {
        await fetchFrom(url, path, await sizeOf(path), dispatcher, { ...options, onProgress });
        return;
      } catch (error) {
        const disk = ["ENOSPC", "EDQUOT"].includes((error as NodeJS.ErrnoException).code ?? "");
        if (options.signal?.aborted || disk || error instanceof CellsamError) throw error;
        failure = error;
        // A server that gives nothing at all will not give more the next time. What it gave need not have reached the disk.
        if (!gave) break;
      }
    }
    const reason = failure instanceof Error ? String(failure.cause ?? failure.message) : String(failure);
    throw new CellsamError(
      "ERR_DOWNLOAD",
      `${url} could not be downloaded: ${reason}. Check the network and the proxy variables.`,
      {
        detail: { url },
        cause: failure,
      },
    );
  } finally {
    await dispatcher.close();
  }
}

async function fetchFrom(
  url: string,
  path: string,
  start: number,
  dispatcher: EnvHttpProxyAgent,
  options: DownloadOptions,
): Promise<void> {
  const headers = start > 0 ? { range: `bytes=${start}-` } : undefined;
  const response = await undici().fetch(url, {
    dispatcher,
    ...(headers ? { headers } : {}),
    ...(options.signal ? { signal: options.signal } : {}),
  });
  // 416: the file was complete already.
  if (response.status === 416) return;
  if (!response.ok || !response.body) {
    throw new CellsamError("ERR_DOWNLOAD", `${url} answered ${response.status} ${response.statusText}`, {
      detail: { url, status: response.status },
    });
  }
  // A server that ignores the range sends everything again.
  const resumed = response.status === 206;
  const length = Number(response.headers.get("content-length"));
  const total = length > 0 ? length + (resumed ? start : 0) : null;
  let bytes = resumed ? start : 0;
  const body = Readable.fromWeb(response.body);
  body.on("data", (chunk: Uint8Array) => {
    bytes += chunk.length;
    options.onProgress?.(bytes, total);
  });
  await pipeline(body, createWriteStream(path, { flags: resumed ? "a" : "w" }));
  if (total !== null && bytes !== total) throw new Error(`the connection ended after ${bytes} of ${total} bytes`);
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    (file) => file.size,
    () => 0,
  );
}
